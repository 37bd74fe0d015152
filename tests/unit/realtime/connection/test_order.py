"""What a client says and does keeps its order, and what the gateway says to it never closes an honest client."""

from __future__ import annotations

from random import Random

import pytest

from qos import Frame, Lane
from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Reason
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.websocket import CloseReceived, Ping, Violation
from wsprism.realtime.messages import TransportLost
from wsprism.realtime.room.inbox import Inbox

JOIN = '{"v":1,"svc":"room","type":"join","room":"r"}'
LEAVE = '{"v":1,"svc":"room","type":"leave","room":"r"}'


def chat(text: str) -> str:
    return f'{{"v":1,"svc":"chat","type":"send","room":"r","data":{{"msg":"{text}"}}}}'


async def listener(world: World) -> Peer:
    peer = await world.connect("listener")
    peer.join("r")
    peer.heard()
    return peer


def texts(peer: Peer) -> list[str]:
    return [one["data"]["msg"] for one in peer.heard() if isinstance(one, dict) and one["type"] == "msg"]


@pytest.mark.parametrize(
    "end", [CloseReceived(1000, ""), Violation(CloseCode.PROTOCOL_ERROR, "odd"), TransportLost("gone")]
)
async def test_what_was_said_before_the_end_is_heard_before_it(end: object) -> None:
    world = World()
    other = await listener(world)
    for number in range(5):
        peer = await world.connect(f"u{number}")
        peer.session.connection.deliver([JOIN, chat(f"last words {number}")])
        if isinstance(end, TransportLost):
            peer.outlet.lost()
        peer.session.connection.tell_control(end)
    world.settle()
    assert texts(other) == [f"last words {number}" for number in range(5)]
    assert len(world.tenant.registry) == (1 if isinstance(end, TransportLost) else 6)


async def test_nothing_said_behind_a_close_is_heard() -> None:
    world = World()
    other = await listener(world)
    peer = await world.connect("u")
    peer.session.connection.deliver([JOIN, chat("before"), CloseReceived(1000, ""), chat("behind")])
    world.settle()
    assert texts(other) == ["before"]


@pytest.mark.parametrize("seed", range(40))
async def test_every_order_of_joins_messages_and_ends_is_kept(seed: int) -> None:
    random = Random(seed)
    world = World()
    other = await listener(world)
    peers = [await world.connect(f"u{number}") for number in range(3)]
    expected: dict[int, list[str]] = {}
    for number, peer in enumerate(peers):
        script: list[object] = []
        inside, ended, said = False, False, []
        for step in range(random.randrange(2, 14)):
            choice = random.random()
            if choice < 0.35:
                script.append(JOIN)
                inside = True
            elif choice < 0.5 and inside:
                script.append(LEAVE)
                inside = False
            elif choice < 0.55:
                script.append(CloseReceived(1000, ""))
                ended = True
            else:
                script.append(chat(f"{number}.{step}"))
                if inside and not ended:
                    said.append(f"{number}.{step}")
            if ended and random.random() < 0.5:
                break
        expected[number] = said
        while script:
            some = random.randrange(1, len(script) + 1)
            peer.session.connection.deliver(script[:some])
            del script[:some]
            for _ in range(random.randrange(3)):
                world.scheduler.run_once()
    world.settle()
    heard = texts(other)
    for number, said in expected.items():
        assert [one for one in heard if one.startswith(f"{number}.")] == said


@pytest.mark.parametrize("bound", [8, 256])
async def test_no_answer_in_the_control_class_closes_a_client_and_the_newest_pong_comes(bound: int) -> None:
    world = World(qos={"control_max_messages": bound}, policy={"rate_limit_rps": 1, "rate_limit_burst": 1})
    peer = await world.connect("ann")
    peer.heard()
    peer.transport.fill()
    for number in range(250):
        peer.session.connection.deliver([Ping(str(number).encode()), chat("too many"), b"\x01\x00", b"\x01\x00"])
    peer.outlet.offer(Frame(b"\x89\x00", Lane.CONTROL, None))
    world.settle()
    assert peer.closed_with() is None
    assert peer.outlet.queue.control_count <= bound // 2 + 1
    peer.transport.drain()
    world.scheduler.advance(0.2)
    pongs = [payload for opcode, payload in peer.frames() if opcode == 10]
    assert pongs[-1] == b"249"
    assert pongs == sorted(pongs, key=int)
    assert peer.closed_with() is None


async def test_what_the_tenant_refuses_is_told_within_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(policy={"publish_requires_membership": False}, qos={"control_max_messages": 8})
    other = await listener(world)
    peer = await world.connect("ann")
    peer.heard()
    peer.transport.fill()
    peer.session.connection.deliver([Ping(b"fills it")])
    world.settle()
    monkeypatch.setattr(Inbox, "publish", lambda *_: False)
    peer.say(*[chat(str(number)) for number in range(60)])
    assert world.tenant.counters.decisions[Reason.MAILBOX_FULL] == 60
    assert peer.closed_with() is None
    assert texts(other) == []
    peer.transport.drain()
    world.scheduler.advance(0.2)
    errors = [one["data"] for one in peer.heard() if isinstance(one, dict)]
    assert {one["code"] for one in errors} == {"RESOURCE_EXHAUSTED"}
    assert errors[-1]["msg"] == "58 more messages were refused, which are not told one by one"


async def test_a_client_over_its_rate_that_reads_is_not_closed_for_what_it_is_answered() -> None:
    world = World(policy={"rate_limit_rps": 1, "rate_limit_burst": 1})
    peer = await world.connect("ann")
    peer.heard()
    peer.transport.fill()
    peer.session.connection.deliver([chat(str(number)) for number in range(1024)])
    world.settle()
    assert peer.closed_with() is None
    peer.transport.drain()
    world.scheduler.advance(0.2)
    heard = [one for one in peer.heard() if isinstance(one, dict)]
    assert {one["data"]["code"] for one in heard} <= {"RATE_LIMITED", "NOT_ALLOWED"}
    assert len(heard) <= 140
    summaries = [one["data"]["msg"] for one in heard if "more messages were refused" in one["data"]["msg"]]
    assert len(heard) - len(summaries) + sum(int(one.split()[0]) for one in summaries) == 1024
    assert peer.closed_with() is None
