"""Faults of Redis itself: its process, its data, its commands."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from hiredis import HiredisError

from load.chaos.clients import KEPT
from load.chaos.fault import Epochs, Fault
from load.chaos.isolation import stays
from load.chaos.world import Setup, World

__all__ = ["OF_REDIS"]

_NOTICED_S: Final = 0.3
_OWN_PART_OF_LEASE: Final = 0.8
"""After which a node takes itself for dead."""

_DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always")


async def _kill_each_connection(world: World) -> None:
    """Of every node, both, one after the other, each when the one before is back."""
    for part in ("line", "desk"):
        for node in world.nodes:
            listed = await world.redis.ask("CLIENT", "LIST")
            (found,) = [one for one in listed.splitlines() if f"name=wsprism-{node.name}-{part} " in one]
            await world.redis.ask("CLIENT", "KILL", "ID", found.split()[0].partition("=")[2])
            await asyncio.sleep(0.7)


async def _kill(world: World, away_s: float) -> None:
    world.redis.kill()
    await asyncio.sleep(away_s)
    world.redis.start()


async def _stop(world: World, for_s: float) -> None:
    world.redis.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        world.redis.signal(signal.SIGCONT)


async def _stop_long(world: World, for_s: float) -> None:
    """While a node has its lease, what needs no Redis goes on."""
    world.redis.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(_NOTICED_S)
        of_lease_s = _OWN_PART_OF_LEASE * world.setup.lease_ms / 1000
        await world.goes_on(of_lease_s - 2 * _NOTICED_S)
        await asyncio.sleep(for_s - of_lease_s + _NOTICED_S)
    finally:
        world.redis.signal(signal.SIGCONT)


async def _stop_and_keep(world: World, for_s: float) -> None:
    """Nobody's session ends, and what needs no Redis goes on when the lease has ended too."""
    world.redis.signal(signal.SIGSTOP)
    try:
        with stays(world):
            await asyncio.sleep(world.setup.lease_ms / 1000)
            await world.goes_on(for_s - world.setup.lease_ms / 1000)
    finally:
        world.redis.signal(signal.SIGCONT)


async def _pause(world: World) -> None:
    await world.redis.ask("CLIENT", "PAUSE", 3000, "ALL")
    await asyncio.sleep(3.0)


async def _again_and_again(world: World, *command: str) -> None:
    for _ in range(5):
        await world.redis.ask(*command)
        await asyncio.sleep(0.3)


async def _delete_keys(world: World) -> None:
    """Of rooms that are in use: where each stands, what it keeps, and both."""
    prefix = world.prefix("acme")
    for room in KEPT:
        await world.redis.ask("DEL", f"{prefix}m:{room}")
        await asyncio.sleep(0.3)
        await world.redis.ask("DEL", f"{prefix}h:{room}")
        await asyncio.sleep(0.3)
        await world.redis.ask("DEL", f"{prefix}m:{room}", f"{prefix}h:{room}", f"{prefix}i:{room}")
        await asyncio.sleep(0.3)
    await world.redis.ask("DEL", f"{prefix}m:plain:1")


async def _read_only(world: World) -> None:
    await world.redis.ask("REPLICAOF", "127.0.0.1", 1)
    await asyncio.sleep(1.5)
    await world.redis.ask("REPLICAOF", "NO", "ONE")


async def _fail_over(world: World) -> None:
    """The primary acknowledges what its replica never gets, and dies."""
    primary, replica, _ = world.servers
    await primary.ask("CONFIG", "SET", "requirepass", "nobody knows it")
    await replica.ask("CLIENT", "KILL", "TYPE", "master")
    before = world.account.counts["heard"]
    await asyncio.sleep(0.7)
    if world.account.counts["heard"] == before:
        world.account.breaks("nothing was acknowledged that could be lost: the fault shows nothing")
    world.redis = replica
    primary.kill()

    async def promoted() -> bool:
        return "role:master" in await replica.ask("INFO", "replication")

    with contextlib.suppress(HiredisError):
        await world.until("the replica promoted", promoted)


def _named(do: Callable[..., Awaitable[None]], *arguments: object) -> Callable[[World], Awaitable[None]]:
    return partial(_given, do, arguments)


async def _given(do: Callable[..., Awaitable[None]], arguments: tuple[object, ...], world: World) -> None:
    await do(world, *arguments)


_LONG_LEASE: Final = Setup(_DURABLE, lease_ms=10_000)

OF_REDIS: Final = (
    Fault("client-kill", "CLIENT KILL of each connection of each node", _kill_each_connection),
    Fault(
        "redis-kill",
        "kill -9 of Redis without persistence, back after 1 s",
        _named(_kill, 1.0),
        epochs=Epochs.NEW,
        nobody_dies=False,
    ),
    Fault(
        "redis-kill-aof", "kill -9 of Redis with AOF, back after 1 s", _named(_kill, 1.0), Setup(_DURABLE), Epochs.NEW
    ),
    Fault("redis-stop-0.5", "SIGSTOP of Redis for 0.5 s", _named(_stop, 0.5)),
    Fault("redis-stop-5", "SIGSTOP of Redis for 5 s, longer than the lease", _named(_stop_long, 5.0)),
    Fault(
        "redis-stop-30", "SIGSTOP of Redis for 30 s, leases of 10 s", _named(_stop_long, 30.0), _LONG_LEASE, long=True
    ),
    Fault(
        "redis-stop-keep",
        "SIGSTOP of Redis for 5 s, longer than the lease, where nodes keep their sessions",
        _named(_stop_and_keep, 5.0),
        Setup(on_isolation="keep"),
    ),
    Fault("client-pause", "CLIENT PAUSE for 3 s", _pause),
    Fault("script-flush", "SCRIPT FLUSH, five times", _named(_again_and_again, "SCRIPT", "FLUSH")),
    Fault(
        "flushall",
        "FLUSHALL while all goes on",
        _named(_again_and_again, "FLUSHALL"),
        epochs=Epochs.NEW,
        nobody_dies=False,
        forgets=True,
    ),
    Fault("del-room", "DEL of the keys of rooms in use", _delete_keys, epochs=Epochs.ANY),
    Fault("read-only", "the primary becomes a replica for 1.5 s: READONLY", _read_only, epochs=Epochs.NEW),
    Fault(
        "failover",
        "failover by Sentinel with acknowledged writes lost",
        _fail_over,
        Setup(sentinel=True, lease_ms=10_000),
        Epochs.NEW,
        nobody_dies=False,
        forgets=True,
        long=True,
    ),
)
"""In the order in which they are listed."""
