"""What costs work besides messages is bounded too: control frames, what is held back, what is over the limit."""

from __future__ import annotations

import pytest

from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Reason
from wsprism.protocol.envelope import Envelope, JsonCodec
from wsprism.protocol.websocket import Ping, Pong
from wsprism.realtime.outbound.wire import WireFormat

JOIN = '{"v":1,"svc":"room","type":"join","room":"r"}'


async def connect(world: World) -> Peer:
    peer = await world.connect()
    peer.heard()
    return peer


@pytest.mark.parametrize("event", [Ping(b"x"), Pong(b"x")])
async def test_a_flood_of_control_frames_is_closed_4002(event: Ping | Pong) -> None:
    world = World()
    peer = await connect(world)
    peer.event(*[event] * 200)
    assert len(peer.frames()) == (200 if isinstance(event, Ping) else 0)
    peer.event(*[event] * 57)
    assert peer.closed_with() == (4002, "too many control frames")
    assert world.tenant.counters.decisions[Reason.RATE_LIMITED_CONTROL] == 1
    peer.event(*[event] * 500)
    assert world.tenant.counters.decisions[Reason.RATE_LIMITED_CONTROL] <= 501


async def test_a_keepalive_is_answered_for_ever_however_empty_the_message_bucket_is() -> None:
    world = World(policy={"rate_limit_rps": 0.01, "rate_limit_burst": 1})
    peer = await connect(world)
    peer.say(*["{}"] * 5)
    peer.frames()
    for _ in range(2000):
        peer.event(Ping(b"alive"))
        world.scheduler.advance(0.05)
    assert len(peer.frames()) == 2000
    assert peer.closed_with() is None


async def test_what_is_held_back_during_a_join_is_bounded_in_bytes() -> None:
    """The tenant has not answered yet: one message over the bound, and nothing more is read."""
    world = World(limits={"max_frame_bytes": 1_000_000})
    peer = await connect(world)
    connection = peer.session.connection
    big = '{"v":1,"svc":"sys","type":"ping","data":"' + "x" * 40_000 + '"}'
    connection.deliver([JOIN, big])
    assert peer.transport.reading
    connection.deliver([big])
    assert not peer.transport.reading
    world.settle()
    assert peer.transport.reading
    assert peer.types() == ["joined", "pong", "pong"]


async def test_a_message_over_the_limit_is_not_decoded() -> None:
    codec, decoded = JsonCodec(), []
    decode = codec._decode

    def count(payload: str | bytes) -> Envelope:
        decoded.append(payload)
        return decode(payload)

    codec._decode = count
    world = World(policy={"rate_limit_rps": 1, "rate_limit_burst": 3})
    peer = await world.connect(wire=WireFormat(codec, deflated=False))
    peer.say(*['{"v":1,"svc":"sys","type":"ping"}'] * 50)
    assert len(decoded) == 3
    assert world.tenant.counters.decisions[Reason.RATE_LIMITED_EXT] == 47


async def test_an_error_for_each_message_over_the_limit_names_its_seq() -> None:
    world = World(policy={"rate_limit_rps": 1, "rate_limit_burst": 1})
    peer = await connect(world)
    peer.say("{}")
    peer.frames()
    peer.say('{"v":1,"svc":"chat","type":"send","seq":5}', '{"seq":6}', "nonsense", "[" * 3000)
    assert peer.errors() == [("RATE_LIMITED", 5), ("RATE_LIMITED", 6), ("RATE_LIMITED", None), ("RATE_LIMITED", None)]
