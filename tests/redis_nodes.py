"""Nodes on a Redis of tests, in this process, and what tests do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.redis_server import RedisServer
from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.redis.connection import Bounds, RedisConnection
from wsprism.adapters.redis.node import NodeOptions, RedisNode
from wsprism.adapters.redis.opening import Opener

__all__ = ["LEASE_MS", "asked", "node", "operator", "until", "until_answered"]

LEASE_MS = 3000


def asked(ask: Callable[..., object], *arguments: Any) -> asyncio.Future[Any]:
    """The answer of a call that takes ``done``; told twice is an error."""
    future = asyncio.get_running_loop().create_future()
    ask(*arguments, future.set_result)
    assert not future.done()
    return future


@asynccontextmanager
async def node(url: str, name: str = "n", *, answer_s: float = 10.0, **options: Any) -> AsyncIterator[RedisNode]:
    node = RedisNode(
        NodeOptions(parse_address(url), "test", name, LEASE_MS, **options), Bounds(answer_s=answer_s, ping_s=0.4)
    )
    node.broker("acme")
    await node.start()
    try:
        yield node
    finally:
        await node.close()


async def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for what tells nobody."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 (there is no event of it)
            await asyncio.sleep(0.02)


async def until_answered(
    ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], within_s: float = 30.0
) -> None:
    """Ask until the answer is right."""
    async with asyncio.timeout(within_s):
        while not holds(await ask()):  # noqa: ASYNC110 (there is no event of it)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def operator(server: RedisServer) -> AsyncIterator[RedisConnection]:
    patient = Bounds(answer_s=600.0, ping_s=600.0)  # it stays where a test makes Redis stand still
    connection = await Opener(parse_address(server.url), patient).open("operator")
    yield connection
    await connection.close()
