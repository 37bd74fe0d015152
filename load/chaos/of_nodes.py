"""Faults of nodes and of the network between them and Redis."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from typing import Final

from load.chaos.crowd import crowd
from load.chaos.fault import Epochs, Fault
from load.chaos.lag import pinging
from load.chaos.nodes import Node
from load.chaos.world import Setup, World

__all__ = ["OF_NODES"]

_GHOSTS: Final = 1.2
"""Leases: so long the sessions of a node that is gone may be counted."""

_ENDED_S: Final = 3.0
"""Until its clients have come to other nodes, and before its lease has ended."""


async def _stop(for_s: float, world: World) -> None:
    world.nodes[0].signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        world.nodes[0].signal(signal.SIGCONT)


async def _swallow(world: World) -> None:
    """One network after the other lets nothing through, not even the end of a connection."""
    for proxy in world.proxies:
        proxy.stall()
        await asyncio.sleep(2.5)
        proxy.flow()
        await asyncio.sleep(1.0)


async def _lose_answers(world: World) -> None:
    """What nodes say arrives, what Redis says does not; then everything is cut."""
    for proxy in world.proxies * 3:
        proxy.keep_answers()
        await asyncio.sleep(0.3)
        proxy.cut()
        proxy.keep_answers(False)
        await asyncio.sleep(0.7)


async def _delay(world: World) -> None:
    for proxy in world.proxies:
        proxy.delay_s = 0.15
    await asyncio.sleep(3.0)
    for proxy in world.proxies:
        proxy.delay_s = 0.0


async def _unread(world: World) -> None:
    """A node is stopped while so much is published that Redis drops it, and goes on."""
    stopped, other = world.nodes
    stopped.signal(signal.SIGSTOP)
    await world.publish_as_backend(other, "kept:1", 80, 30_000)

    async def dropped() -> bool:
        return f"name=wsprism-{stopped.name}-line" not in await world.redis.ask("CLIENT", "LIST")

    try:
        await world.until("a connection that is not read dropped by Redis", dropped, within_s=15.0)
    finally:
        stopped.signal(signal.SIGCONT)


async def _one_name(world: World) -> None:
    for _ in range(4):
        await world.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.5)


async def _gone(world: World, node: Node, began: float) -> None:
    """Nothing of a node that was killed is counted any more, in time."""
    prefixes = [world.prefix(tenant) for tenant in ("acme", "tight")]
    left = len(world.alive())

    async def cleared() -> bool:
        return all([await world.redis.ask("ZCARD", f"{prefix}leases") == left for prefix in prefixes])

    await world.until(f"node {node.name} cleared away", cleared)
    seconds, most = time.monotonic() - began, _GHOSTS * world.setup.lease_ms / 1000 + world.manner.slack_s
    world.account.counts["ghosts for ms"] = round(1000 * seconds)
    if seconds > most:
        world.account.breaks(f"ghosts of node {node.name} were there for {seconds:.1f} s, longer than {most:.1f}")


async def _kill_in_joins(world: World) -> None:
    """While others come and go on it as fast as they can."""
    async with crowd(world, world.nodes[0], 200, comes_and_goes=True):
        await asyncio.sleep(1.0)
        world.nodes[0].kill()
        began = time.monotonic()
        await _gone(world, world.nodes[0], began)


async def _kill_in_reaping(world: World) -> None:
    """The node that clears away after a dead one dies in the middle of it."""
    first, second, _ = world.nodes
    async with crowd(world, first, 2000):
        leases = f"{world.prefix('acme')}n:"
        first.kill()

        async def reaping() -> bool:
            sets = await world.redis.ask("KEYS", f"{leases}*")
            return bool(sets) and await world.redis.ask("ZCOUNT", f"{world.prefix('acme')}leases", 0, 0) > 0

        await world.until("a node being cleared away", reaping)
        second.kill()
        began = time.monotonic()
        await _gone(world, second, began)


async def _kill_with_many(sessions: int, world: World) -> None:
    """The node that clears away is asked for pings, by a client of a tenant that has nothing to do with it."""
    first, second = world.nodes
    async with crowd(world, first, sessions), pinging(second.base) as pinger:
        await asyncio.sleep(3.0)
        world.account.counts["ping before, ms"] = await pinger.longest_ms()
        first.kill()
        began = time.monotonic()
        await asyncio.sleep(_ENDED_S)
        world.account.counts["ping as it dies, ms"] = await pinger.longest_ms()
        await _gone(world, first, began)
        world.account.counts["ping while it is cleared away, ms"] = await pinger.longest_ms()


def _stopped(for_s: float, *, lease_ms: int = 3000, long: bool = False) -> Fault:
    outlives = for_s * 1000 > lease_ms * 0.8
    return Fault(
        f"node-stop-{for_s:g}",
        f"SIGSTOP of a node for {for_s:g} s" + (", longer than its lease" if outlives else ""),
        partial(_stop, for_s),
        Setup(lease_ms=lease_ms),
        nobody_dies=not outlives,
        long=long,
    )


_PROXIED: Final = Setup(proxied=True)

OF_NODES: Final = (
    _stopped(0.5),
    _stopped(5.0),
    _stopped(30.0, lease_ms=10_000, long=True),
    Fault(
        "black-hole", "the network swallows everything for 2.5 s, node by node", _swallow, _PROXIED, nobody_dies=False
    ),
    Fault("lost-answers", "calls are carried out and their answers lost, six times", _lose_answers, _PROXIED),
    Fault("delay", "the network delays by 150 ms each way, for 3 s", _delay, _PROXIED),
    Fault(
        "unread",
        "a node does not read until Redis drops it",
        _unread,
        Setup(("--client-output-buffer-limit", "pubsub 1mb 0 0"), lease_ms=30_000),
    ),
    Fault("one-name", "two nodes with one name, and their connections killed", _one_name, Setup(one_name=True)),
    Fault("node-kill-joins", "kill -9 of a node in the middle of joins", _kill_in_joins, nobody_dies=False),
    Fault(
        "node-kill-reaping",
        "kill -9 of a node, then of the one that clears away after it",
        _kill_in_reaping,
        Setup(nodes=3),
        nobody_dies=False,
    ),
    Fault(
        "node-kill-20000",
        "kill -9 of a node with 20,000 sessions",
        partial(_kill_with_many, 20_000),
        Setup(lease_ms=10_000),
        Epochs.SAME,
        nobody_dies=False,
        long=True,
    ),
)
"""In the order in which they are listed."""
