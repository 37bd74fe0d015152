"""Presence when a node's process is killed, or stands still until others take it for dead."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.client import Client
from tests.process import GatewayCommand
from tests.redis_server import RedisServer, running_redis

LEASE_MS = 3000


def config(redis: RedisServer, name: str) -> str:
    return json.dumps(
        {
            "version": 1,
            "gateway": {
                "listen": "127.0.0.1:0",
                "broker": {"url": redis.url},
                "node": {"name": name, "lease_ms": LEASE_MS, "on_isolation": "keep"},
            },
            "tenants": [
                {
                    "id": "acme",
                    "auth": {"kind": "dev"},
                    "policy": {"ext_allowlist": ["room:*"]},
                    "rooms": [{"match": "r", "presence": {"enabled": True, "batch_ms": 100}}],
                }
            ],
        }
    )


@asynccontextmanager
async def nodes(directory: Path) -> AsyncIterator[tuple[GatewayCommand, GatewayCommand]]:
    with running_redis() as redis:
        async with AsyncExitStack() as stack:
            made = []
            for name in ("one", "two"):
                (directory / name).mkdir()
                made.append(await stack.enter_async_context(GatewayCommand(config(redis, name), directory / name)))
            yield made[0], made[1]


class Watcher:
    """A member that keeps its picture as it is told to."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users: set[str] = set()

    async def join(self) -> None:
        await self.client.send("room", "join", {"presence": True}, room="r")
        joined = await self.client.receive()
        self.users = set(joined["data"]["presence"]["users"])

    async def sees(self, *users: str, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while self.users != {f"user:{user}" for user in users}:
                message = await self.client.ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                said: dict[str, Any] = json.loads(message.data)
                if said["type"] == "presence_diff":
                    self.users -= said["data"]["left"].keys()
                    self.users |= said["data"]["joined"].keys()


async def test_who_was_on_a_node_that_was_killed_leaves(tmp_path: Path) -> None:
    async with nodes(tmp_path) as (one, two), Client(one.base, ticket="dev:ann") as ann:
        watcher = Watcher(ann)
        await watcher.join()
        async with Client(two.base, ticket="dev:bob") as bob, Client(two.base, ticket="dev:cyd") as cyd:
            for client in (bob, cyd):
                await Watcher(client).join()
            await watcher.sees("ann", "bob", "cyd")
            two.signal(signal.SIGKILL)
            await watcher.sees("ann")


async def test_who_is_on_a_node_that_stood_still_leaves_and_is_there_again(tmp_path: Path) -> None:
    async with nodes(tmp_path) as (one, two), Client(one.base, ticket="dev:ann") as ann:
        watcher = Watcher(ann)
        await watcher.join()
        async with Client(two.base, ticket="dev:bob") as bob:
            other = Watcher(bob)
            await other.join()
            await watcher.sees("ann", "bob")
            two.signal(signal.SIGSTOP)
            await watcher.sees("ann")
            async with Client(one.base, ticket="dev:cyd") as cyd:
                await Watcher(cyd).join()
                await watcher.sees("ann", "cyd")
                two.signal(signal.SIGCONT)
                await watcher.sees("ann", "bob", "cyd")
                await other.sees("ann", "bob", "cyd")
            await watcher.sees("ann", "bob")
            await other.sees("ann", "bob")
