"""Behaviours of both SDKs (clients/behaviours.md): a gateway of two nodes, one of which dies, or whose Redis does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.redis_server import RedisServer, running_redis
from tests.sdk.conftest import CONFIG
from tests.sdk.sdk import Client, Room, Sdk, SdkError

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def _two_nodes(directory: Path, redis: RedisServer) -> AsyncIterator[list[GatewayCommand]]:
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in ("n1", "n2"):
            own = {"broker": {"url": redis.url}, "node": {"name": name}}
            place = directory / name
            place.mkdir()
            text = yaml.safe_dump({**CONFIG, "gateway": {**CONFIG["gateway"], **own}})  # type: ignore[dict-item]
            nodes.append(await stack.enter_async_context(GatewayCommand(text, place)))
        yield nodes


async def _member(sdk: Sdk, at: GatewayCommand | Proxy, user: str) -> tuple[Client, Room]:
    client = await sdk.client(f"ws://127.0.0.1:{at.port}", tenant="mindful", ticket=f"dev:{user}")
    room = await client.room("nodes")
    await room.call("joined")
    return client, room


async def _say(room: Room, text: str) -> Any:
    return await room.call("publish", "send", {"msg": text})


async def _heard(room: Room, *texts: str) -> None:
    for text in texts:
        assert (await room.event("message"))["data"]["msg"] == text


async def test_who_was_on_a_node_that_dies_goes_on_at_another(sdk: Sdk, tmp_path: Path) -> None:
    with running_redis() as redis:
        async with _two_nodes(tmp_path, redis) as (first, second), Proxy(first.port) as proxy:
            away, listening = await _member(sdk, proxy, "ann")
            _, speaking = await _member(sdk, second, "bob")
            assert await _say(speaking, "a") == 1
            await _heard(listening, "a")
            proxy.refuse()
            first.signal(signal.SIGKILL)
            await away.state("waiting")
            publishing = listening.calling("publish", "send", {"msg": "by ann"})
            assert await _say(speaking, "b") == 2
            proxy.to_port = second.port
            proxy.refuse(False)
            assert await listening.event("recovered") == {"count": 1}
            assert await publishing == 3
            assert await _say(speaking, "c") == 4
            await _heard(listening, "b", "by ann", "c")
            await _heard(speaking, "a", "b", "by ann", "c")


async def test_a_publish_whose_ack_died_with_a_node_is_published_once(sdk: Sdk, tmp_path: Path) -> None:
    with running_redis() as redis:
        async with _two_nodes(tmp_path, redis) as (first, second), Proxy(first.port) as proxy:
            away, room = await _member(sdk, proxy, "ann")
            _, listening = await _member(sdk, second, "bob")
            proxy.keep_answers()
            publishing = room.calling("publish", "send", {"msg": "a"})
            await _heard(listening, "a")
            first.signal(signal.SIGKILL)
            proxy.cut()
            proxy.keep_answers(False)
            proxy.to_port = second.port
            assert await publishing == 1
            assert await _say(room, "b") == 2
            await _heard(listening, "b")
            assert await away.get("state") == "open"


async def test_what_the_nodes_have_lost_is_told(sdk: Sdk, tmp_path: Path) -> None:
    with running_redis() as redis:
        async with _two_nodes(tmp_path, redis) as (first, _):
            client, room = await _member(sdk, first, "ann")
            assert await _say(room, "a") == 1
            await _heard(room, "a")
            redis.kill()
            assert await client.event("degraded") == {"degraded": True}
            with pytest.raises(SdkError) as error:
                await _say(room, "refused")
            assert error.value.code == "UNAVAILABLE"
            redis.start()  # it remembers nothing
            assert await client.event("degraded") == {"degraded": False}
            assert (await room.event("lost"))["offset"] == 0
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(SdkError):
                        assert await _say(room, "b") == 1
                        break
            await _heard(room, "b")
