"""Room numbers: a hot frame goes to the room that it names, and receivers are told where it came from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.protocol.frames import binary_frame
from wsprism.protocol.hot import HotFrame, decode_delivery, encode_hot
from wsprism.realtime.messages import HotPublication
from wsprism.realtime.tenant.backend_messages import PublishForBackend


def joined(peer: Peer, room: str) -> int:
    """Join, and the number that ``sys.joined`` tells."""
    peer.join(room)
    numbers = [one["data"]["number"] for one in peer.heard() if isinstance(one, dict) and one["type"] == "joined"]
    return int(numbers[-1])


def frames(peer: Peer) -> list[bytes]:
    return [one for one in peer.heard() if isinstance(one, bytes)]


def rooms(peer: Peer) -> list[int | None]:
    found = []
    for raw in frames(peer):
        frame = decode_delivery(raw)
        assert isinstance(frame, HotFrame)
        found.append(frame.room)
    return found


async def two_rooms(**options: Any) -> tuple[World, Peer, Peer, Peer, int, int]:
    """``ann`` is in both rooms, the second is her active one; ``bob`` is in the first, ``cid`` in the second."""
    world = World(**options)
    ann, bob, cid = [await world.connect(user) for user in ("ann", "bob", "cid")]
    first, second = joined(ann, "first"), joined(ann, "second")
    assert (joined(bob, "first"), joined(cid, "second")) == (first, second)
    assert first != second
    return world, ann, bob, cid, first, second


async def test_a_frame_goes_to_the_room_that_it_names_and_loses_the_number() -> None:
    _, ann, bob, cid, first, _ = await two_rooms()
    ann.say(encode_hot(1, 1, b"x", seq=7, room=first))
    assert frames(bob) == [encode_hot(1, 1, b"x", seq=7)]
    assert frames(cid) == []
    ann.say(encode_hot(1, 1, b"y"))
    assert (frames(bob), frames(cid)) == ([], [encode_hot(1, 1, b"y")])


async def test_with_hot_room_numbers_every_frame_of_a_room_has_its_number() -> None:
    world, ann, bob, cid, first, second = await two_rooms(policy={"hot_room_numbers": True})
    ann.say(encode_hot(1, 1, b"x", room=first), encode_hot(1, 1, b"y"))
    assert (rooms(bob), rooms(cid)) == ([first], [second])
    await world.call(PublishForBackend("first", (HotPublication(binary_frame(encode_hot(1, 1, b"z")), None),)))
    world.tenant.registry.rooms["first"].inbox.publish(HotPublication(binary_frame(encode_hot(1, 1, b"z")), None))
    world.settle()
    assert rooms(bob) == [first] * 2


@pytest.mark.parametrize("unknown", [0, 2**32 - 1])
async def test_a_number_of_no_room_and_of_one_that_it_is_not_in_is_not_allowed(unknown: int) -> None:
    _, ann, bob, _, _, second = await two_rooms()
    for number in (unknown, second):
        bob.say(encode_hot(1, 1, b"x", seq=3, room=number))
        assert bob.errors() == [("NOT_ALLOWED", 3)]
    assert frames(ann) == []


async def test_a_number_ends_with_its_room() -> None:
    world, ann, bob, _, first, _ = await two_rooms()
    for peer in (ann, bob):
        peer.say({"v": 1, "svc": "room", "type": "leave", "room": "first"})
        peer.heard()
    assert world.tenant.registry.room_numbers.name_of(first) is None
    assert joined(ann, "first") != first
    ann.say(encode_hot(1, 1, b"x", seq=3, room=first))
    assert ann.errors() == [("NOT_ALLOWED", 3)]
