"""What a connection does for code of the operator's: trusted answers, now or later; frames that are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.realtime_support import Peer, World
from wsprism.effects import Answer, Asker, Disconnect, Effect, Fail, Later, Publish, Refuse, Reply, Send
from wsprism.policy.decisions import Reason
from wsprism.ports import HotVerdict, ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import MSGPACK, Envelope
from wsprism.protocol.hot import HotFrame
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.rules import ServiceRegistry


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


class Scripted:
    """An ext service that gives what it is told to."""

    types = None

    def __init__(self, gives: object) -> None:
        self.gives = gives

    def handle(self, context: ServiceContext, envelope: Envelope) -> object:  # noqa: ARG002
        return self.gives


class Judge:
    """A hot service that says of each frame what it is told to."""

    include_sender = False
    echo = True
    to_backend = False
    filters = True

    def __init__(self, verdict: bytes | HotVerdict, *, deliver: bool = True) -> None:
        self.verdict = verdict
        self.deliver = deliver
        self.seen: list[tuple[str | None, bytes]] = []

    def filter(self, context: ServiceContext, room: str | None, frame: HotFrame) -> bytes | HotVerdict:  # noqa: ARG002
        self.seen.append((room, frame.raw))
        return self.verdict


class Watcher:
    """Remembers who comes and goes, and says so in the room."""

    name = "game"

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def joined(self, room: str, user: str, sid: str) -> Sequence[Any]:
        self.seen.append(("joined", room, user, sid))
        return [Publish(None, None, "welcome", raw(user)), Send(user, sid, None, "you", None)]

    def left(self, room: str, user: str, sid: str) -> Sequence[Any] | None:
        self.seen.append(("left", room, user, sid))
        return [Publish(None, None, "bye", raw(user))]

    def closed(self, room: str) -> None:
        self.seen.append(("closed", room))


async def world_of(gives: object, **options: Any) -> tuple[World, Peer]:
    policy = {"ext_allowlist": ["room:*", "game:*"], "hot_allowlist": ["3:*"]}
    world = World(ext={"game": Scripted(gives)}, policy=policy, **options)
    peer = await world.connect("ann")
    peer.heard()
    return world, peer


MOVE = {"v": 1, "svc": "game", "type": "move", "seq": 7}


async def test_an_answer_is_trusted_wherever_it_publishes() -> None:
    world, ann = await world_of(Answer([Publish("r", None, "moved", raw({"x": 1}))]))
    bob = await world.connect("bob", wire=wire_format(MSGPACK, deflated=False))
    bob.join("r")
    bob.heard()
    ann.say(MOVE)
    assert bob.heard() == [{"v": 1, "svc": "game", "type": "moved", "room": "r", "data": {"x": 1}}]
    assert ann.heard() == []


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_all_of_an_answer_is_carried_out_and_then_acknowledged(wire: str) -> None:
    effects: list[Effect] = [Disconnect(4400, "over"), Reply(raw([1]), "re"), Publish("r", "other", "moved", None)]
    world, _ = await world_of(Answer(effects))
    codec = {"json": None, "msgpack": wire_format(MSGPACK, deflated=False)}[wire]
    ann = await world.connect("ann", wire=codec)
    ann.join("r")
    ann.heard()
    ann.say({**MOVE, "flags": 4})
    heard = ann.heard()
    assert [one["type"] for one in heard if isinstance(one, dict)][:1] == ["re"]
    assert heard[0] == {"v": 1, "svc": "game", "type": "re", "seq": 7, "data": [1]}
    assert ann.closed_with() == (4400, "over")


async def test_an_answer_without_effects_is_a_yes() -> None:
    _, ann = await world_of(Answer([]))
    ann.say({**MOVE, "flags": 4})
    assert [one["type"] for one in ann.heard() if isinstance(one, dict)] == ["ack"]


@pytest.mark.parametrize(
    ("gives", "code", "reason"),
    [
        (Answer([Refuse(ErrorCode.NOT_ALLOWED, "no")]), "NOT_ALLOWED", Reason.SERVICE_REFUSED),
        (Fail(Reason.SERVICE_FAULT, ErrorCode.INTERNAL, "x"), "INTERNAL", Reason.SERVICE_FAULT),
        (Answer([Fail(Reason.SERVICE_SUSPENDED, ErrorCode.UNAVAILABLE, "x")]), "UNAVAILABLE", Reason.SERVICE_SUSPENDED),
    ],
)
async def test_a_refusal_is_told_and_counted_by_who_refuses(gives: object, code: str, reason: Reason) -> None:
    world, ann = await world_of(gives)
    ann.say({**MOVE, "flags": 4})
    assert ann.errors() == [(code, 7)]
    assert world.tenant.counters.decisions[reason] == 1


async def test_a_later_answer_holds_up_nothing_and_is_carried_out_when_it_comes() -> None:
    asked: list[Asker] = []
    _, ann = await world_of(Later(asked.append))
    ann.say({**MOVE, "flags": 4})
    ann.join("r")
    assert "joined" in ann.types()
    assert asked[0].listens
    asked[0].answer([Reply(raw("done"))])
    ann.say()
    assert ann.types() == ["move", "ack"]


async def test_of_a_later_answer_whose_connection_is_gone_the_others_hear_their_part() -> None:
    asked: list[Asker] = []
    world, ann = await world_of(Later(asked.append))
    bob = await world.connect("bob")
    bob.join("r")
    ann.say(MOVE)
    ann.vanish()
    bob.heard()
    assert not asked[0].listens
    asked[0].answer([Reply(raw(1)), Publish("r", None, "moved", raw(2))])
    world.settle()
    assert bob.heard() == [{"v": 1, "svc": "game", "type": "moved", "room": "r", "data": 2}]


FRAME = b"\x03\x01\x00xy"


@pytest.mark.parametrize(
    ("verdict", "heard"),
    [
        (HotVerdict.PASS, [FRAME]),
        (HotVerdict.DROP, []),
        (b"\x04\x02\x00z", [b"\x04\x02\x00z"]),
        (b"\x04", []),
    ],
)
async def test_a_frame_passes_is_dropped_or_is_another_one(verdict: bytes | HotVerdict, heard: list[bytes]) -> None:
    judge = Judge(verdict)
    _, ann = await world_of(None, hot={3: judge})
    ann.join("r")
    ann.heard()
    ann.say(FRAME)
    assert ann.heard() == heard
    assert judge.seen == [("r", FRAME)]


async def test_a_service_that_delivers_to_nobody_acknowledges_what_it_took() -> None:
    _, ann = await world_of(None, hot={3: Judge(HotVerdict.PASS, deliver=False)})
    ann.join("r")
    ann.heard()
    ann.say(b"\x03\x01\x03\x00\x00\x00\x05x")
    [ack] = ann.heard()
    assert isinstance(ack, dict)
    assert ack["type"] == "ack"


async def test_who_is_in_no_room_is_judged_by_nobody() -> None:
    judge = Judge(HotVerdict.PASS)
    _, ann = await world_of(None, hot={3: judge})
    ann.say(FRAME)
    assert ann.errors() == [("NOT_ALLOWED", None)]
    assert judge.seen == []


async def test_watchers_are_told_who_comes_and_goes_and_are_heard_behind_the_join() -> None:
    world, ann = await world_of(None)
    watcher = Watcher()
    services = world.tenant.rules.services
    registry = ServiceRegistry(services.ext, services.hot, (), (watcher,))
    world.tenant.rules = replace(world.tenant.rules, services=registry)
    ann.join("r")
    ann.join("r")
    types = ann.types()
    assert types.index("joined") < types.index("welcome")
    assert "you" in types
    bob = await world.connect("bob")
    bob.join("r")
    ann.heard()
    bob.vanish()
    assert ann.types() == ["bye"]
    ann.vanish()
    ann_sid, bob_sid = ann.session.sid, bob.session.sid
    assert watcher.seen == [
        ("joined", "r", "ann", ann_sid),
        ("joined", "r", "bob", bob_sid),
        ("left", "r", "bob", bob_sid),
        ("left", "r", "ann", ann_sid),
        ("closed", "r"),
    ]
