"""Clients that only come and go, one handshake after the other, each over a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from load.chaos.nodes import Node
from load.chaos.world import World

__all__ = ["knocking"]

_EVERY_S: Final = 0.01
_WITHIN_S: Final = 20.0
_TOLD_LATER_AT_MOST: Final = 0.01
"""So many may be told to come again."""


@asynccontextmanager
async def knocking(world: World, node: Node, clients: int) -> AsyncIterator[None]:
    """While the block runs; then the account: who got in, who was told to come later, and that nobody fared worse."""
    done = asyncio.Event()
    tasks = [asyncio.create_task(_knock(world, node, f"k{number}", done)) for number in range(clients)]
    try:
        yield
        done.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    counts = world.account.counts
    if counts["told later"] > _TOLD_LATER_AT_MOST * counts["let in"]:
        world.account.breaks(f"{counts['told later']} were told to come later, and {counts['let in']} let in")


async def _knock(world: World, node: Node, user: str, done: asyncio.Event) -> None:
    account, number = world.account, 0
    while not done.is_set():
        number += 1
        url = f"{node.base}/v1/ws?tenant=calm&ticket=dev:{user}.{number}"
        try:
            async with asyncio.timeout(_WITHIN_S), world.session.ws_connect(url) as socket:
                first = await socket.receive()
                if first.type is aiohttp.WSMsgType.TEXT and '"authed"' in first.data:
                    account.counts["let in"] += 1
                else:
                    account.breaks(f"who knocked was let in, and told {first.type.name}")
        except aiohttp.WSServerHandshakeError as refused:
            if refused.status == 503 and "Retry-After" in (refused.headers or {}):
                account.counts["told later"] += 1
            else:
                account.breaks(f"who knocked was refused with {refused.status}")
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            account.breaks(f"who knocked was not answered: {error!r}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), _EVERY_S)
