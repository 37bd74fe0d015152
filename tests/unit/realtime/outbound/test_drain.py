"""A drain: everybody is told at once, closed in batches after what is queued, on one timer."""

from __future__ import annotations

import json
from typing import Any

from tests.realtime_support import Peer, World
from wsprism.policy.drain import DrainPlan
from wsprism.realtime.outbound.drain import Drain

PLAN = DrainPlan(grace_ms=2000, flush_ms=1000)


async def drained(world: World, peers: list[Peer], plan: DrainPlan = PLAN) -> Drain:
    drain = Drain(world.scheduler, plan)
    drain.begin(peers)
    world.settle()
    return drain


def hint(peer: Peer) -> int:
    """The delay of the one ``sys.draining`` among what was heard."""
    told: list[Any] = [one for one in peer.heard() if isinstance(one, dict) and one["type"] == "draining"]
    assert len(told) == 1
    return int(told[0]["data"]["reconnect_after_ms"])


async def test_everybody_is_told_at_once_with_a_delay_of_its_own() -> None:
    world = World()
    peers = [await world.connect() for _ in range(50)]
    await drained(world, peers)
    delays = [hint(peer) for peer in peers]
    assert len(set(delays)) == 50
    assert max(delays) - min(delays) > 1800


async def test_closes_go_out_in_batches_over_the_grace() -> None:
    world = World()
    peers = [await world.connect() for _ in range(100)]
    await drained(world, peers)
    closed = []
    for _ in range(20):
        world.scheduler.advance(0.05)
        closed.append(sum(peer.closed_with() is not None for peer in peers))
    assert closed[-1] == 100
    assert all(later - earlier <= 10 for earlier, later in zip([0, *closed], closed, strict=False)), closed


async def test_each_is_closed_before_its_delay_is_over() -> None:
    world = World()
    peers = [await world.connect() for _ in range(20)]
    await drained(world, peers)
    delays = {id(peer): hint(peer) for peer in peers}
    for elapsed_ms in range(50, 2001, 50):
        world.scheduler.advance(0.05)
        due = [peer for peer in peers if delays[id(peer)] <= elapsed_ms]
        assert all(peer.closed_with() == (1001, "draining") for peer in due)


async def test_until_its_close_a_connection_goes_on_and_what_is_queued_is_flushed_first() -> None:
    world = World()
    peers = [await world.connect(user) for user in ("ann", "bob")]
    for peer in peers:
        peer.join("lobby")
        peer.heard()
    await drained(world, peers)
    peers[0].chat("after the notice")
    peers[1].transport.fill()
    peers[0].chat("for a full socket")
    while peers[1].outlet.closing.name == "NO":
        world.scheduler.advance(0.05)
    peers[0].chat("too late")
    peers[1].transport.drain()
    world.settle()
    frames = peers[1].frames()
    texts = [json.loads(payload)["data"].get("msg") for opcode, payload in frames if opcode == 1]
    assert texts == [None, "after the notice", "for a full socket"]
    assert frames[-1][0] == 8


async def test_there_is_one_timer_and_none_is_left() -> None:
    world = World()
    peers = [await world.connect() for _ in range(30)]
    before = world.scheduler.timers
    await drained(world, peers)
    assert world.scheduler.timers <= before + 2, "the batch's own and the flusher's watch"
    world.scheduler.advance(2)
    for peer in peers:
        peer.vanish()
    world.scheduler.advance(1)
    assert world.scheduler.timers == before
    assert world.tenant.sessions == 0
    assert world.tenant.counters.closed == {1001: 30}


async def test_a_stopped_drain_closes_nobody_else() -> None:
    world = World()
    peers = [await world.connect() for _ in range(30)]
    drain = await drained(world, peers)
    drain.stop()
    world.scheduler.advance(5)
    assert sum(peer.closed_with() is not None for peer in peers) < 5


async def test_without_a_grace_all_are_told_and_closed_at_once() -> None:
    world = World()
    peers = [await world.connect() for _ in range(30)]
    await drained(world, peers, DrainPlan(grace_ms=0, flush_ms=1500))
    assert all(peer.closed_with() == (1001, "draining") for peer in peers)
    assert len({hint(peer) for peer in peers}) == 30


async def test_a_connection_that_is_ending_already_is_not_told() -> None:
    world = World(policy={"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}})
    kicked = await world.connect("ann")
    other = await world.connect("ann")
    await drained(world, [kicked, other])
    assert kicked.types_until_close() == ["authed", "kicked"]
    assert other.types() == ["authed", "draining"]
