"""wsprism.adapters.backend.room_places: where each room is, and that the streams know it."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from actors.testing import ManualScheduler
from wsprism.adapters.backend.room_places import RoomPlaces


@dataclass
class Room:
    number: int


class Peer:
    def __init__(self, peer_id: str) -> None:
        self.id = peer_id
        self.rooms: dict[str, int] = {}

    def say(self, body: bytes) -> bool:
        message = json.loads(body)
        assert message["gained"] or message["lost"]
        for one in message["lost"]:
            assert self.rooms.pop(one["room"]) == one["number"]
        for one in message["gained"]:
            assert one["room"] not in self.rooms
            self.rooms[one["room"]] = one["number"]
        return True

    def say_hot(self, payload: bytes, key: Hashable | None) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class World:
    """Streams that come and go, rooms that open and close; ``settle`` lets all looks end."""

    def __init__(self) -> None:
        self.scheduler = ManualScheduler()
        self.peers: dict[str, Peer] = {}
        self.rooms: dict[str, Room] = {}
        self.places = RoomPlaces(self.peers, lambda: self.rooms, self.scheduler)
        self.names = 0

    def fresh(self) -> int:
        self.names += 1
        return self.names

    def come(self) -> None:
        peer = Peer(f"peer{self.fresh()}")
        self.peers[peer.id] = peer
        self.places.peers_changed()

    def go(self) -> None:
        if self.peers:
            del self.peers[next(iter(self.peers))]
            self.places.peers_changed()

    def open(self) -> None:
        name = f"room{self.fresh()}"
        self.rooms[name] = Room(self.fresh())
        self.places.opened(name)

    def shut(self) -> None:
        if self.rooms:
            name = next(iter(self.rooms))
            self.places.closed(name, self.rooms.pop(name).number)

    def open_many(self) -> None:
        for _ in range(100):
            self.open()

    def ask(self) -> None:
        """Whoever is asked about a room has been told that it has it."""
        for name in self.rooms:
            peer = self.places.of(name)
            assert (peer is None) is (not self.peers)
            assert peer is None or name in self.peers[peer.id].rooms

    def settle(self) -> None:
        self.scheduler.run_until_idle()


STEPS = (World.come, World.go, World.open, World.shut, World.open_many, World.ask, World.settle)


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_every_live_room_is_with_exactly_one_stream_that_knows_its_number(steps: list[object]) -> None:
    world = World()
    for step in steps:
        step(world)  # type: ignore[operator]
    world.settle()
    held = [(name, number) for peer in world.peers.values() for name, number in peer.rooms.items()]
    expected = [(name, room.number) for name, room in world.rooms.items()] if world.peers else []
    assert sorted(held) == sorted(expected)
    world.ask()


def test_many_that_come_at_once_are_one_further_look() -> None:
    world = World()
    for _ in range(3):
        world.open_many()
    looks = 0
    choose = world.places._choose

    def counting(name: str) -> object:
        nonlocal looks
        looks += 1
        return choose(name)

    world.places._choose = counting  # type: ignore[method-assign, assignment]
    for _ in range(20):
        world.come()
    world.settle()
    assert looks <= 2 * 300 + 64
