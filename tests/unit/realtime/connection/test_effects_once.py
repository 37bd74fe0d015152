"""Effects in rooms with a history: the message's id publishes them once, and its acknowledgement has the offset."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.native import is_native
from tests.realtime_support import Peer, World
from wsprism.effects import Effect, JoinRoom, Publish, Reply, Send
from wsprism.protocol.envelope import ACK_REQUESTED
from wsprism.realtime.connection import carry_out
from wsprism.realtime.messages import Answered, Origin
from wsprism.realtime.room.publications import ListIds

ROOMS = [{"match": "chat:*", "history": {"max_messages": 10, "ttl_s": 60}}]
MOVED = Publish("chat:1", None, "moved", 1)


async def connected(world: World, user: str = "ann", *rooms: str) -> Peer:
    peer = await world.connect(user)
    for room in rooms:
        peer.join(room)
    peer.heard()
    return peer


def answer(peer: Peer, *effects: Effect, id: str | None = "one", ack: bool = True) -> None:
    """What the backend answers to ``game.move`` with this id, of ``peer``."""
    origin = Origin("game", "move", 7, ACK_REQUESTED if ack else 0, None, id=id)
    peer.event(Answered(peer.session, origin, list(effects)))


def told(peer: Peer) -> list[Any]:
    """Type and offset of each message, and the data of an ack."""
    heard = [one for one in peer.heard() if isinstance(one, dict)]
    return [(one["type"], one["data"] if one["type"] == "ack" else one.get("offset")) for one in heard]


@pytest.mark.parametrize("member", [True, False])
async def test_the_acknowledgement_of_a_list_has_the_offset_and_comes_behind_the_reply(member: bool) -> None:
    world = World(rooms=ROOMS)
    bob = await connected(world, "bob", "chat:1")
    ann = await connected(world, "ann", *(["chat:1"] if member else []))
    answer(ann, MOVED, Reply(1))
    assert told(bob) == [("moved", 1)]
    heard = told(ann)
    assert heard.index(("move", None)) < heard.index(("ack", {"offset": 1}))
    assert (("moved", 1) in heard) is member


async def test_an_answer_given_again_publishes_nothing_again_and_has_the_first_offset() -> None:
    world = World(rooms=ROOMS)
    bob = await connected(world, "bob", "chat:1")
    ann = await connected(world, "ann", "chat:1")
    answer(ann, MOVED, Reply(1))
    answer(ann, Publish("chat:1", None, "moved", 2), id="two")
    for peer in (ann, bob):
        peer.heard()
    answer(ann, Reply(1), MOVED)
    assert told(ann) == [("move", None), ("ack", {"offset": 1})]
    assert told(bob) == []


async def test_several_publications_of_one_list_are_each_published_once() -> None:
    world = World(rooms=ROOMS)
    bob = await connected(world, "bob", "chat:1", "chat:2")
    ann = await connected(world)
    effects = (MOVED, Publish("chat:2", None, "moved", 1), Publish("chat:1", None, "scored", 5))
    for _ in range(2):
        answer(ann, *effects)
    assert sorted(told(bob), key=str) == [("moved", 1), ("moved", 1), ("scored", 2)]
    assert told(ann) == [("ack", {"offset": 1})] * 2


async def test_ids_are_their_user_s_own_and_without_one_everything_is_published() -> None:
    world = World(rooms=ROOMS)
    ann, bob = await connected(world, "ann", "chat:1"), await connected(world, "bob")
    answer(ann, MOVED, ack=False)
    answer(bob, MOVED, ack=False)
    for _ in range(2):
        answer(ann, MOVED, id=None, ack=False)
    assert told(ann) == [("moved", offset) for offset in (1, 2, 3, 4)]


async def test_what_is_published_into_a_room_where_nobody_is_is_kept_once_and_acknowledged() -> None:
    world = World(rooms=ROOMS)
    ann = await connected(world)
    for _ in range(2):
        answer(ann, MOVED)
    assert told(ann) == [("ack", {"offset": 1})] * 2


async def test_behind_a_join_of_the_same_list_it_has_its_offset_too() -> None:
    world = World(rooms=ROOMS)
    ann = await connected(world)
    answer(ann, JoinRoom("chat:1"), MOVED)
    assert told(ann)[1:] == [("moved", 1), ("ack", {"offset": 1})]


async def test_an_answer_to_somebody_who_has_gone_publishes_nothing_again() -> None:
    world = World(rooms=ROOMS)
    ann, bob = await connected(world, "ann"), await connected(world, "bob", "chat:1")
    answer(ann, MOVED, Send("bob", None, None, "you", 1))
    ann.vanish()
    world.settle()
    origin = Origin("game", "move", 7, ACK_REQUESTED, None, id="one")
    world.tenant.ref.tell(Answered(ann.session, origin, [MOVED, Send("bob", None, None, "you", 1)]))
    world.settle()
    assert sorted(told(bob), key=str) == [("moved", 1), ("you", None), ("you", None)]


async def test_in_a_plain_room_an_id_says_nothing_and_the_acknowledgement_has_no_offset() -> None:
    world = World(rooms=ROOMS)
    ann = await connected(world, "ann", "lobby")
    for _ in range(2):
        answer(ann, Publish("lobby", None, "moved", 1))
    heard = [one for one in ann.heard() if isinstance(one, dict)]
    assert [one["type"] for one in heard].count("moved") == 2
    assert all("data" not in one for one in heard if one["type"] == "ack")


@pytest.mark.skipif(is_native(carry_out), reason="compiled code refuses the type that makes the room crash here")
async def test_a_room_that_is_restarted_acknowledges_nothing_and_says_so() -> None:
    world = World(rooms=ROOMS)
    ann = await connected(world, "ann", "chat:1")
    answer(ann, Publish("chat:1", None, cast(str, object()), 1))
    heard = [one for one in ann.heard() if isinstance(one, dict)]
    assert "ack" not in [one["type"] for one in heard]
    errors = [(one["data"]["code"], one.get("seq")) for one in heard if one["type"] == "error"]
    assert ("INTERNAL", 7) in errors


def test_names_of_a_list_are_no_client_s() -> None:
    ids = ListIds("x")
    assert [ids.next_in("a"), ids.next_in("a"), ids.next_in("b"), ids.next_in("a")] == ["x", "x 2", "x", "x 3"]
