"""What a list of effects brings about: in its order, all or none, acknowledged when the last of them is decided."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.realtime_support import Peer, World
from wsprism.effects import Disconnect, Effect, JoinRoom, LeaveRoom, Publish, PublishHot, Refuse, Reply, Send, SendHot
from wsprism.policy.decisions import Reason
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, JSON, MSGPACK, Codec, Envelope
from wsprism.realtime.messages import Answered, Origin
from wsprism.realtime.outbound.wire import wire_format


async def connect(world: World, user: str, *rooms: str, **options: Any) -> Peer:
    peer = await world.connect(user, **options)
    for room in rooms:
        peer.join(room)
    peer.heard()
    return peer


def answer(peer: Peer, *effects: Effect, ack: bool = True, room: str | None = None) -> None:
    """What the backend answers to ``game.move`` of ``peer``."""
    origin = Origin("game", "move", 7, ACK_REQUESTED if ack else 0, room)
    peer.event(Answered(peer.session, origin, list(effects)))


def told(peer: Peer) -> list[Any]:
    """Type of what was told, with the data of what a service said, and hot frames as they are."""
    return [
        one if isinstance(one, bytes) else (one["type"], one.get("data")) if one["svc"] != "sys" else one["type"]
        for one in peer.heard()
    ]


async def test_they_are_carried_out_in_order_and_then_acknowledged() -> None:
    world = World()
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    answer(
        ann,
        Publish(None, None, "moved", 1),
        Reply("ok"),
        PublishHot(None, b"\x01\x02\x00x"),
        Send("bob", None, "news", "t", 2),
    )
    assert sorted(map(str, told(bob))) == sorted(map(str, [("moved", 1), b"\x01\x02\x00x", ("t", 2)]))
    heard = told(ann)
    assert heard.index(("move", "ok")) < heard.index("ack")
    assert ("moved", 1) in heard


async def test_an_empty_list_is_a_yes() -> None:
    world = World()
    ann = await connect(world, "ann")
    answer(ann)
    assert told(ann) == ["ack"]
    answer(ann, ack=False)
    assert told(ann) == []


async def test_a_join_is_awaited_before_the_acknowledgement_and_what_follows_is_heard_by_who_has_joined() -> None:
    world = World()
    ann = await connect(world, "ann", rooms=("other:*",))
    answer(ann, JoinRoom("lobby"), Publish("lobby", None, "welcome", None), Reply(1))
    heard = told(ann)
    assert heard[0] == ("move", 1)
    assert heard[1] == "joined"
    assert sorted(map(str, heard[2:])) == sorted(map(str, [("welcome", None), "ack"]))


async def test_what_a_limit_refuses_is_told_undoes_nothing_else_and_is_not_acknowledged() -> None:
    world = World(limits={"max_rooms_per_user": 1})
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    answer(ann, JoinRoom("another"), Publish("lobby", None, "moved", 1), Reply(2))
    heard = told(ann)
    assert "error" in heard
    assert "ack" not in heard
    assert ("move", 2) in heard
    assert told(bob) == [("moved", 1)]


async def test_a_leave_comes_before_what_is_published_after_it() -> None:
    world = World()
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    answer(ann, LeaveRoom("lobby"), Publish("lobby", None, "gone", "ann"))
    assert told(ann) == ["left", "ack"]
    assert told(bob) == [("gone", "ann")]


async def test_a_join_and_a_leave_of_one_list_are_both_carried_out() -> None:
    world = World()
    ann = await connect(world, "ann")
    answer(ann, JoinRoom("lobby"), LeaveRoom("lobby"))
    assert told(ann) == ["joined", "left", "ack"]
    assert world.tenant.rooms == 0


@pytest.mark.parametrize("member", [True, False])
async def test_a_full_room_is_told_and_not_acknowledged(member: bool) -> None:
    world = World()
    ann, bob = await connect(world, "ann", *(["lobby"] if member else [])), await connect(world, "bob", "lobby")
    ann.heard()
    inbox = world.tenant.registry.rooms["lobby"].inbox
    inbox.waiting = 10**6
    answer(ann, Publish("lobby", None, "moved", 1), Reply(2))
    heard = ann.heard()
    assert [one["data"].get("code") for one in heard if isinstance(one, dict) and one["type"] == "error"] == [
        "RESOURCE_EXHAUSTED"
    ]
    assert [one["type"] for one in heard if isinstance(one, dict) and one["type"] != "error"] == ["move"]
    assert told(bob) == []
    assert world.tenant.counters.decisions[Reason.MAILBOX_FULL] == 1


async def test_one_that_cannot_be_said_leaves_all_undone() -> None:
    world = World()
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    answer(ann, Publish(None, None, "moved", 1), Send("bob", None, None, "t", 2), Reply(object()))
    assert ann.errors() == [("INTERNAL", 7)]
    assert told(bob) == []
    assert world.tenant.counters.decisions[Reason.SERVICE_FAULT] == 1


async def test_a_disconnect_comes_last_wherever_it_stands() -> None:
    world = World()
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    answer(ann, Disconnect(4400, "come back"), Publish(None, None, "moved", 1), Reply(2))
    assert ann.types_until_close() == ["move", "ack"]
    assert ann.closed_with() == (4400, "come back")
    assert told(bob) == [("moved", 1)]


async def test_a_disconnect_for_good_says_why() -> None:
    world = World()
    ann = await connect(world, "ann")
    answer(ann, Disconnect(reason="banned"))
    assert ann.types_until_close() == ["kicked", "ack"]
    assert ann.closed_with() == (4500, "banned")


async def test_a_refusal_is_the_answer() -> None:
    world = World()
    ann = await connect(world, "ann")
    answer(ann, Refuse(ErrorCode.NOT_ALLOWED, "not your turn"))
    assert ann.errors() == [("NOT_ALLOWED", 7)]
    assert world.tenant.counters.decisions[Reason.BACKEND_REFUSED] == 1


async def test_what_a_backend_says_is_bound_by_no_ticket_and_no_membership() -> None:
    world = World()
    ann, bob = await connect(world, "ann", read_only=True, rooms=()), await connect(world, "bob", "lobby")
    answer(ann, Publish("lobby", None, "moved", 1), SendHot("bob", None, b"\x09\x09\x00x"))
    assert sorted(map(str, told(bob))) == sorted(map(str, [("moved", 1), b"\x09\x09\x00x"]))
    assert told(ann) == ["ack"]


async def test_a_reply_to_a_msgpack_client_is_msgpack() -> None:
    world = World()
    ann = await connect(world, "ann", wire=wire_format(MSGPACK, deflated=False))
    answer(ann, Reply({"a": [1, None]}))
    assert told(ann) == [("move", {"a": [1, None]}), "ack"]


async def test_messages_of_the_client_do_not_wait_for_a_join_that_its_backend_decides() -> None:
    world = World()
    ann, bob = await connect(world, "ann", "lobby"), await connect(world, "bob", "lobby")
    ann.session.connection.deliver([Answered(ann.session, Origin("game", "move", 7, 0, None), [JoinRoom("another")])])
    ann.session.connection.deliver(['{"v":1,"svc":"chat","type":"send","room":"lobby","data":{"msg":"hi"}}'])
    actor: Any = ann.session.connection
    assert not actor._actor.pending.line
    world.settle()
    assert told(bob)[0][0] == "msg"
    assert actor._actor.pending is None


@pytest.mark.parametrize("number", [b"%d" % 2**70, b"1e999", b"[-1.5E999]"])
@pytest.mark.parametrize("codec", [JSON, MSGPACK])
async def test_a_reply_that_not_every_client_could_be_told_is_an_error_and_ends_nobody(
    number: bytes, codec: Codec
) -> None:
    world = World()
    ann = await connect(world, "ann", "lobby", wire=wire_format(codec, deflated=False))
    answer(ann, Publish(None, None, "moved", 1), Reply(msgspec.Raw(number)))
    heard: list[Any] = ann.heard()
    assert [one["data"]["code"] for one in heard] == ["INTERNAL"]
    answer(ann, Reply(7), ack=False)
    assert told(ann) == [("move", 7)]
    assert not world.failures


async def test_a_service_that_replies_what_messagepack_cannot_say_fails_alone() -> None:
    world = World(ext={"crash": Replies(msgspec.Raw(b"1e999"))})
    ann = await connect(world, "ann", "lobby", wire=wire_format(MSGPACK, deflated=False))
    ann.say({"v": 1, "svc": "crash", "type": "send", "seq": 4})
    heard: list[Any] = ann.heard()
    assert [(one["data"]["code"], one["seq"]) for one in heard] == [("INTERNAL", 4)]
    assert not world.failures


class Replies:
    """Replies ``data``."""

    types = frozenset({"send"})

    def __init__(self, data: object) -> None:
        self._data = data

    def handle(self, context: ServiceContext, envelope: Envelope) -> Reply:  # noqa: ARG002 (the port's signature)
        return Reply(self._data)
