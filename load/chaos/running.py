"""Starts a world, Redis and nodes and clients, and ends all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from load.chaos.account import Account
from load.chaos.afterwards import all_settled
from load.chaos.clients import HERE, ROOMS, Contender, Member, Outlaw
from load.chaos.nodes import Node
from load.chaos.world import MOST_IN_PIT, MOST_SESSIONS, OUTLAW, Manner, Setup, World
from load.proxy import Proxy
from load.redis_server import RedisServer

__all__ = ["running_world"]

_CONTENDERS: Final = 6
_MEMBERS_OF_A_PROCESS: Final = 3
_PORTS: Final = range(20_000, 32_000, 500)
"""The first of each block of ports, below those that outgoing connections are given. A process has one block."""


@cache
def _own_block() -> Iterator[int]:
    """Ports that no other process takes which asks this too: it listens on the first one until it ends."""
    for first in random.sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", first), reuse_port=False).detach()
            return cycle(range(first + 1, first + _PORTS.step))
    raise OSError("every block of ports from 20000 to 31999 has somebody who listens on its first: end some of them")


def own_port() -> int:
    """One of the loopback that nobody listens on, and that no other world was given for long."""
    for port in _own_block():
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port), reuse_port=False):
            return port
    raise AssertionError("a cycle has no end")


@asynccontextmanager
async def running_world(setup: Setup, account: Account, seed: int, manner: Manner) -> AsyncIterator[World]:
    """Everything started, every member in every room; at the end all of it ended. Raises ServerFailedError."""
    world = World(setup, account, seed, manner)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wsprism-chaos-")))
        url = await _start_redis(world, stack, directory)
        world.session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))
        )
        await _start_nodes(world, stack, directory, url)
        async with _clients(world):
            yield world
        for fault in [one.close() for one in world.nodes]:
            if fault is not None:
                account.breaks(fault)
        for node in world.nodes:
            for line in node.errors()[:3]:
                account.breaks(f"node {node.name} has logged: {line}")


async def _start_redis(world: World, stack: AsyncExitStack, directory: Path) -> str | None:
    """The URL of all nodes, or None: each has its own."""
    name = world.manner.server
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin")
    if program is None:
        raise FileNotFoundError(f"{name} is not installed")

    def start(*options: str, sentinel: Path | None = None) -> RedisServer:
        server = RedisServer(program, own_port(), *options, sentinel=sentinel)
        stack.callback(server.close)
        server.start()
        world.servers.append(server)
        return server

    world.redis = start(*world.setup.redis)
    if not world.setup.sentinel:
        return None if world.setup.proxied else world.redis.url
    start("--replicaof", "127.0.0.1", str(world.redis.port))
    file = directory / "sentinel.conf"
    file.write_text(
        f"sentinel monitor mine 127.0.0.1 {world.redis.port} 1\nsentinel down-after-milliseconds mine 500\n"
        "sentinel failover-timeout mine 2000\n"
    )
    sentinel = start(sentinel=file)

    async def knows() -> bool:
        synced = "state=online" in await world.redis.ask("INFO", "replication")
        return synced and "master-link-status" in str(await sentinel.ask("SENTINEL", "REPLICAS", "mine"))

    await world.until("a replica in step, and the sentinel that knows it", knows)
    return f"sentinel://127.0.0.1:{sentinel.port}/mine"


async def _start_nodes(world: World, stack: AsyncExitStack, directory: Path, url: str | None) -> None:
    setup = world.setup
    for at in range(setup.nodes):
        its_url = url
        if its_url is None:
            proxy = await stack.enter_async_context(Proxy(world.redis.port))
            world.proxies.append(proxy)
            its_url = f"redis://127.0.0.1:{proxy.port}"
        name = "same" if setup.one_name else f"n{at}"
        node = Node(
            directory,
            name,
            (own_port(), own_port()),
            its_url,
            lease_ms=setup.lease_ms,
            sessions=MOST_SESSIONS,
            users=MOST_IN_PIT,
            workers=setup.workers,
            on_isolation=setup.on_isolation,
        )
        stack.callback(node.close)
        world.nodes.append(node)
        node.start()
    await asyncio.gather(*(one.ready(world.session) for one in world.nodes))


@asynccontextmanager
async def _clients(world: World) -> AsyncIterator[None]:
    account, chance = world.account, world.chance

    def nodes_from(at: int) -> list[Node]:
        return [world.nodes[(at + one) % len(world.nodes)] for one in range(len(world.nodes))]

    rooms = (HERE, *ROOMS) if world.setup.workers == 1 else ROOMS  # a client does not know which worker has it
    for at in range(len(world.nodes)):
        for number in range(_MEMBERS_OF_A_PROCESS * world.setup.workers):
            world.members.append(Member(account, nodes_from(at), f"m{at}.{number}", chance, rooms))
        world.outlaws.append(Outlaw(account, nodes_from(at), OUTLAW, chance))
    for number in range(_CONTENDERS):
        world.contenders.append(Contender(account, nodes_from(number), f"c{number}", chance))
    everybody = [*world.members, *world.contenders, *world.outlaws]
    tasks = [asyncio.create_task(one.run(world.session)) for one in everybody]
    tasks.append(asyncio.create_task(world.look()))
    try:
        await world.until("every member in every room", partial(all_settled, world))
        speakers = [member for at, member in enumerate(world.members) if at % _MEMBERS_OF_A_PROCESS != 0]
        tasks += [asyncio.create_task(one.publish(world.setup.interval_s, world.quiet)) for one in speakers]
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                account.breaks(f"a client has failed: {one!r}")
