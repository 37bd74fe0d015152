"""The list of nodes: of one process, of two over a Redis, and while that is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.api import ADMIN, start_with_api
from tests.client import Client
from tests.conftest import StartGateway
from tests.redis_server import running_redis
from wsprism.cli import main


async def get(api: str, path: str = "/v1/nodes") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with aiohttp.ClientSession() as session, session.get(api + path, headers=headers) as answer:
        return answer.status, await answer.json()


async def until(asks: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(60):
        while not holds(found := await asks()):  # noqa: ASYNC110 (another node's doing)
            await asyncio.sleep(0.05)
        return found


async def test_one_process_is_the_only_node(start_gateway: StartGateway) -> None:
    running, api = await start_with_api(start_gateway, gateway={"node": {"name": "alone"}})
    async with Client(running.base):
        status, told = await get(api)
    (one,) = told["items"]
    assert (status, one["name"], one["incarnation"], one["connections"]) == (200, "alone", 0, 1)
    assert (one["differs"], one["silent"], one["draining"]) == (False, False, False)


async def test_who_drains_is_seen_at_once_from_every_node(
    start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_redis() as redis:
        nodes = []
        for name in ("n1", "n2"):
            node = {"name": name, "lease_ms": 60_000}  # nothing is said by renewing it meanwhile
            gateway = {"broker": {"url": redis.url}, "node": node, "drain_grace_ms": 60_000}
            nodes.append(await start_with_api(start_gateway, gateway=gateway))
        (leaving, _), (_, other) = nodes
        async with Client(leaving.base):
            await until(lambda: get(other), lambda answer: len(answer[1].get("items", ())) == 2)
            leaving.process.begin_drain()
            _, told = await until(lambda: get(other), lambda answer: any(one["draining"] for one in answer[1]["items"]))
            assert [(one["name"], one["draining"]) for one in told["items"]] == [("n1", True), ("n2", False)]
            assert await asyncio.to_thread(main, ["nodes", "--url", other, "--api-key", ADMIN]) == 0
            _, first, second = capsys.readouterr().out.splitlines()
            assert "draining" in first
            assert "draining" not in second


async def test_nodes_see_each_other_and_who_has_another_configuration(
    start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_redis() as redis:
        apis = []
        for name, most in (("n1", 5), ("n2", 5), ("n3", 6)):
            node = {"name": name, "lease_ms": 6000}
            gateway = {"broker": {"url": redis.url}, "node": node}
            _, api = await start_with_api(start_gateway, acme={"limits": {"max_rooms_per_user": most}}, gateway=gateway)
            apis.append(api)
        _, told = await until(
            lambda: get(apis[0]),
            lambda answer: len(found := answer[1].get("items", ())) == 3 and any(one["differs"] for one in found),
        )
        assert [(one["name"], one["differs"]) for one in told["items"]] == [("n1", False), ("n2", False), ("n3", True)]
        assert all(one["lease_age_ms"] < 6000 for one in told["items"])
        assert len({one["incarnation"] for one in told["items"]}) == 3
        code = await asyncio.to_thread(main, ["nodes", "--url", apis[1], "--api-key", ADMIN])
        lines = capsys.readouterr().out.splitlines()
        assert (code, len(lines)) == (0, 4)
        assert lines[3].startswith("n3 ")
        assert lines[3].endswith(" differs")
        assert await asyncio.to_thread(main, ["nodes", "--json", "--url", apis[1], "--api-key", ADMIN]) == 0
        assert len(json.loads(capsys.readouterr().out)["items"]) == 3

        async def metrics() -> str:
            async with aiohttp.ClientSession() as session, session.get(f"{apis[1]}/metrics") as answer:
                return await answer.text()

        text = await until(metrics, lambda text: 'wsprism_nodes_configuration_differs{node="n3"} 1.0' in text)
        assert 'wsprism_nodes_configuration_differs{node="n1"} 0.0' in text
        redis.kill()
        status, told = await until(lambda: get(apis[0]), lambda answer: bool(answer[0] != 200))
        assert (status, told["code"]) == (503, "UNAVAILABLE")
