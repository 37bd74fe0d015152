"""Rooms with a history against a naive model: each client hears exactly what the model says, in order, or is closed.

The model keeps whole logs and derives what is kept, recovered and lost from the words of docs/rooms.md alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.examples import examples
from tests.realtime_support import Peer, World
from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.adapters.memory.saved_histories import give_back, saved
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.tenant.backend_messages import PublishForBackend
from wsprism.realtime.tenant.histories import PublishedAt, PurgeForBackend

ROOMS = ["a", "b", "c"]
TTL_S, MOST_HISTORIES = 60.0, 2
ACK = 4
CRASHES = ExtPublication("\ud800", "msg", b"1")
"""No frame can be made of half a character: it fails in the room, as nothing that is said does."""

PICKS = st.integers(0, 5)
ROOM = st.sampled_from(ROOMS)
IDS = st.sampled_from([None, None, "x", "y"])


@dataclass(eq=False)
class Epoch:
    """One unbroken history: everything that was ever published in it."""

    number: int
    log: list[tuple[str, float, str | None]] = field(default_factory=list)
    members: int = 0
    used_at: float = 0.0

    @property
    def top(self) -> int:
        return len(self.log)

    def kept(self, now: float, most: int) -> list[int]:
        """Offsets of what is kept."""
        newest = range(max(1, self.top - most + 1), self.top + 1)
        return [offset for offset in newest if now - self.log[offset - 1][1] < TTL_S]


@dataclass(eq=False)
class Client:
    """A live client of the model, and its real counterpart. ``places``: what it has seen last of each room."""

    user: str
    peer: Peer
    rooms: list[str] = field(default_factory=list)
    expected: list[tuple[Any, ...]] = field(default_factory=list)
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    blocked: bool = False
    may_be_closed: bool = False


class RoomsThatRemember(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.names: dict[str, Epoch] = {}
        self.numbers = count(1)
        self.texts = count(1)
        self.live: list[Client] = []
        self.stored: dict[str, Epoch] = {}
        self.given_out: dict[str, Epoch] = {}
        self.seen: list[tuple[str, str, int]] = []

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coro)

    @initialize(most_kept=st.integers(1, 5), most_recovered=st.integers(1, 5))
    def start(self, most_kept: int, most_recovered: int) -> None:
        self.most_kept, self.most_recovered = most_kept, most_recovered
        self.world = self.new_world()
        self.now = self.world.scheduler.now

    def new_world(self, **options: Any) -> World:
        """A gateway that remembers nothing yet."""
        history = {
            "max_messages": self.most_kept,
            "recover_max_messages": self.most_recovered,
            "ttl_s": int(TTL_S),
        }
        return World(
            rooms=[{"match": "*", "history": history}],
            limits={"max_history_rooms": MOST_HISTORIES},
            qos={"reliable_max_messages": 16},
            **options,
        )

    def teardown(self) -> None:
        self.loop.close()

    # The model

    def epoch_of(self, room: str) -> Epoch | None:
        """The history that is stored, unless its time is over."""
        epoch = self.stored.get(room)
        if epoch is not None and not self.members(room) and self.now() >= epoch.used_at + TTL_S:
            del self.stored[room]
            return None
        return epoch

    def members(self, room: str) -> list[Client]:
        return [one for one in self.live if room in one.rooms]

    def use(self, room: str) -> Epoch:
        """The room's history, begun if there is none; the one used least recently gives way."""
        epoch = self.epoch_of(room)
        if epoch is None:
            epoch = self.given_out.pop(room, None) or self.new_epoch()
            epoch.used_at = self.now()
        self.stored.pop(room, None)
        self.stored[room] = epoch
        while len(self.stored) > MOST_HISTORIES:
            evicted = next(iter(self.stored))
            del self.stored[evicted]
            self.tell_gap(evicted)
        return epoch

    def new_epoch(self) -> Epoch:
        return Epoch(next(self.numbers))

    def tell_gap(self, room: str) -> None:
        if self.members(room):
            epoch = self.stored.get(room) or self.new_epoch()
            if room not in self.stored:
                self.given_out[room] = epoch
            for one in self.members(room):
                one.expected.append(("gap", room, epoch, epoch.top))
                one.may_be_closed = one.may_be_closed or one.blocked

    def publish(self, room: str, text: str, key: str | None) -> tuple[int, bool]:
        """Its offset, and whether it is a new one."""
        epoch = self.use(room)
        if key is not None:
            for offset in epoch.kept(self.now(), self.most_kept):
                if epoch.log[offset - 1][2] == key:
                    return offset, False
        epoch.log.append((text, self.now(), key))
        epoch.used_at = self.now()
        for one in self.members(room):
            one.expected.append(("msg", room, epoch.top, text))
            one.may_be_closed = one.may_be_closed or one.blocked
        return epoch.top, True

    # Clients

    def client(self, pick: int) -> Client:
        return self.live[pick % len(self.live)]

    @precondition(lambda self: len(self.live) < 3)
    @rule(user=st.sampled_from(["u", "v"]), binary=st.booleans())
    def connect(self, user: str, binary: bool) -> None:
        wire = wire_format(MSGPACK if binary else JSON, deflated=False)
        peer = self.run(self.world.connect(user, f"s{next(self.texts)}", wire=wire))
        peer.heard()
        self.live.append(Client(user, peer))

    @precondition(lambda self: self.live)
    @rule(pick=PICKS)
    def lose(self, pick: int) -> None:
        client = self.client(pick)
        self.hear(client)
        client.peer.vanish()
        self.gone(client)

    def gone(self, client: Client) -> None:
        self.live.remove(client)
        for room in client.rooms:
            self.left(room)

    def left(self, room: str) -> None:
        if not self.members(room):
            self.given_out.pop(room, None)
            if room in self.stored:
                self.stored[room].used_at = self.now()

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=ROOM, place=st.integers(0, 30), back=st.integers(-1, 6))
    def join(self, pick: int, room: str, place: int, back: int) -> None:
        client = self.client(pick)
        if room in client.rooms:
            return
        places = [one for one in self.seen if one[0] == room and one[1] in self.names]
        message: dict[str, Any] = {"v": 1, "svc": "room", "type": "join", "room": room}
        since = None
        if places and place:
            _, name, offset = places[-1 - place % len(places)]
            named = self.names[name]
            since = (named, max(0, named.top - back if back < 6 else offset))
            message["data"] = {"since": {"epoch": name, "offset": since[1]}}
        epoch = self.use(room)
        joined: tuple[Any, ...] = ("joined", room, epoch, epoch.top)
        missed: list[tuple[Any, ...]] = []
        if since is not None:
            wanted = list(range(since[1] + 1, epoch.top + 1))
            kept = epoch.kept(self.now(), self.most_kept)
            recovered = (
                since[0] is epoch
                and since[1] <= epoch.top
                and all(offset in kept for offset in wanted)
                and len(wanted) <= self.most_recovered
            )
            joined += (recovered, len(wanted) if recovered else 0)
            if recovered:
                missed = [("msg", room, offset, epoch.log[offset - 1][0]) for offset in wanted]
        client.rooms.append(room)
        client.expected += [joined, *missed]
        client.may_be_closed = client.may_be_closed or client.blocked
        client.peer.say(message)

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=ROOM, missed=st.integers(0, 6))
    def go_away_and_come_back(self, pick: int, room: str, missed: int) -> None:
        self.leave(pick, room)
        for _ in range(missed):
            self.say_as_backend(room, None)
        self.every_client_hears_what_the_model_says()
        if self.live:
            self.join(pick, room, 1, missed)

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=ROOM)
    def leave(self, pick: int, room: str) -> None:
        client = self.client(pick)
        if room not in client.rooms or client.blocked:
            return
        client.rooms.remove(room)
        client.expected.append(("left", room))
        self.left(room)
        client.peer.say({"v": 1, "svc": "room", "type": "leave", "room": room})

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=ROOM, id=IDS, times=st.sampled_from([1, 1, 2, 7]))
    def say(self, pick: int, room: str, id: str | None, times: int) -> None:
        client = self.client(pick)
        if room not in client.rooms or client.blocked:
            return
        messages = []
        acks = []
        for _ in range(times):
            text = str(next(self.texts))
            fields: dict[str, Any] = {} if id is None else {"id": id}
            data = {"msg": text}
            messages.append({"v": 1, "svc": "chat", "type": "send", "room": room, "flags": ACK, "data": data, **fields})
            key = None if id is None else f"{client.user} {id}"
            acks.append(("ack", self.publish(room, text, key)[0]))
        client.expected += acks
        client.peer.say(*messages)

    @rule(room=ROOM, id=IDS)
    def say_as_backend(self, room: str, id: str | None) -> None:
        text = str(next(self.texts))
        members = len(self.members(room))
        offset, _ = self.publish(room, text, None if id is None else f"backend {id}")
        publication = ExtPublication("chat", "msg", JSON.encode({"msg": text}), id=id)
        answer = self.run(self.world.call(PublishForBackend(room, (publication,))))
        assert answer == PublishedAt(members, offset)

    # Faults and time

    @precondition(lambda self: self.live)
    @rule(pick=PICKS)
    def block(self, pick: int) -> None:
        client = self.client(pick)
        self.hear(client)
        client.peer.transport.fill()
        client.blocked = True

    @precondition(lambda self: any(one.blocked for one in self.live))
    @rule(pick=PICKS)
    def unblock(self, pick: int) -> None:
        blocked = [one for one in self.live if one.blocked]
        client = blocked[pick % len(blocked)]
        client.blocked = False
        client.peer.transport.drain()
        self.world.settle()

    @rule(seconds=st.sampled_from([1.0, 20.0, 59.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        for client in [one for one in self.live if one.blocked]:
            self.unblock_all(client)
        self.world.scheduler.advance(seconds)
        store = self.world.tenant.store
        assert store is not None
        store.sweep()
        for room in list(self.stored):
            self.epoch_of(room)

    def unblock_all(self, client: Client) -> None:
        client.blocked = False
        client.peer.transport.drain()
        self.world.settle()

    @rule(room=ROOM)
    def purge(self, room: str) -> None:
        had = self.epoch_of(room)
        if had is not None:
            new = self.new_epoch()
            new.used_at = self.now()
            self.stored[room] = new
            self.tell_gap(room)
        answer = self.run(self.world.call(PurgeForBackend(room)))
        assert bool(answer.epoch) == (had is not None)

    @rule(room=ROOM, loses=st.booleans())
    def crash(self, room: str, loses: bool) -> None:
        entry = self.world.tenant.registry.rooms.get(room)
        if entry is None:
            return
        for client in [one for one in self.live if one.blocked]:
            self.unblock_all(client)
        if loses:
            entry.ref.tell(CRASHES)
            self.use(room)
            del self.stored[room]
            self.tell_gap(room)
        else:
            entry.ref.tell_control(object())
        self.world.settle()
        self.world.scheduler.advance(2.0)

    @rule(planned=st.booleans(), away_s=st.sampled_from([0.0, 30.0, 61.0]))
    def restart(self, planned: bool, away_s: float) -> None:
        for client in list(self.live):
            if client.blocked:
                self.unblock_all(client)
        self.every_client_hears_what_the_model_says()
        for client in list(self.live):
            self.gone(client)
        self.given_out.clear()
        before = self.world.tenant
        assert isinstance(before.store, MemoryRoomStore)
        self.run(self.world.system.stop(1.0))
        entries = sorted(saved(before.store, before.now(), before.unix_now()))
        self.world.scheduler.advance(away_s)
        self.world = self.new_world(scheduler=self.world.scheduler)
        if planned:
            tenant = self.world.tenant
            assert isinstance(tenant.store, MemoryRoomStore)
            for key, value in entries:
                give_back(
                    tenant.store,
                    key,
                    value,
                    lambda room: tenant.rules.rooms.of(room).history,
                    tenant.now(),
                    tenant.unix_now(),
                )
        else:
            self.stored.clear()
        for room in list(self.stored):
            self.epoch_of(room)

    # What is heard

    @invariant()
    def every_client_hears_what_the_model_says(self) -> None:
        for client in list(self.live):
            if client.blocked:
                continue
            self.hear(client)
            self.learn(client)
            closed = client.peer.closed_with()
            if closed is not None:
                assert client.may_be_closed, closed
                assert closed[0] == 4000
                assert in_order(client.heard, client.expected), (client.heard, client.expected)
                client.peer.vanish()
                self.gone(client)
                continue
            assert by_room(client.heard) == by_room(client.expected)
            assert acks(client.heard) == acks(client.expected)
            client.heard, client.expected = [], []
            client.may_be_closed = False

    def hear(self, client: Client) -> None:
        for one in client.peer.heard():
            if isinstance(one, dict):
                shown = self.shown(one)
                if shown is not None:
                    client.heard.append(shown)

    def shown(self, message: dict[str, Any]) -> tuple[Any, ...] | None:
        kind, room, data = message["type"], message.get("room"), message.get("data")
        assert data is not None or kind == "left"
        match kind:
            case "msg":
                return ("msg", room, message["offset"], data["msg"])  # type: ignore[index]
            case "joined" | "gap":
                assert data is not None
                shown = (kind, room, data["epoch"], data["offset"])
                return shown + ((data["recovered"], data["count"]) if "recovered" in data else ())
            case "left":
                return (kind, room)
            case "ack":
                assert data is not None
                return (kind, data["offset"])
            case "error":
                assert data is not None
                assert data["code"] == "INTERNAL", data
                return None
            case _:
                raise AssertionError(message)

    def learn(self, client: Client) -> None:
        """The names of the model's epochs, from where they were heard first; a name is never another's."""
        wanted = by_room(client.expected)
        for room, heard in by_room(client.heard).items():
            for at, one in enumerate(heard):
                if one[0] not in ("joined", "gap") or at >= len(wanted.get(room, [])):
                    continue
                expected = wanted[room][at]
                if expected[0] == one[0] and isinstance(expected[2], Epoch) and one[2] not in self.names:
                    assert expected[2] not in self.names.values(), "an epoch that was told before has another name"
                    self.names[one[2]] = expected[2]
                self.seen.append((room, one[2], one[3]))
        client.heard = [
            (*one[:2], self.names.get(one[2]), *one[3:])
            if one[0] in ("joined", "gap") and isinstance(one[2], str)
            else one
            for one in client.heard
        ]


def by_room(heard: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """What was heard of each room, in its order: rooms have no order between them."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for one in heard:
        if one[0] != "ack":
            found.setdefault(one[1], []).append(one)
    return found


def acks(heard: list[tuple[Any, ...]]) -> list[int]:
    return sorted(one[1] for one in heard if one[0] == "ack")


def in_order(heard: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    """Whether, of each room, what was heard is the beginning of what was to be heard."""
    wanted = by_room(expected)
    return all(some == wanted.get(room, [])[: len(some)] for room, some in by_room(heard).items())


TestRoomsThatRemember = RoomsThatRemember.TestCase
TestRoomsThatRemember.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
