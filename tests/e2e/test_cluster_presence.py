"""Presence over two gateways and one real Redis: who is there, whatever becomes of a node or of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import Backend, start_with_api
from tests.client import Client
from tests.conftest import Running, StartGateway
from tests.redis_server import RedisServer, running_redis

PRESENCE = "/v1/tenants/acme/rooms/r/presence"
ROOMS = [{"match": "r", "presence": {"enabled": True, "batch_ms": 100, "linger_ms": 0}}]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def start_nodes(start_gateway: StartGateway, redis: RedisServer, **node: Any) -> list[tuple[Running, str]]:
    return [
        await start_with_api(
            start_gateway,
            acme={"rooms": ROOMS},
            gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}", **node}},
        )
        for number in range(2)
    ]


async def join(client: Client) -> dict[str, list[Any]]:
    """Who is there."""
    await client.send("room", "join", {"presence": True, "state": "here"}, room="r")
    joined = await client.receive()
    assert joined["type"] == "joined", joined
    users: dict[str, list[Any]] = joined["data"]["presence"]["users"]
    return users


async def diff(client: Client) -> dict[str, Any]:
    while True:
        message = await client.receive()
        if message["type"] == "presence_diff":
            return dict(message["data"])


async def test_who_is_on_either_node_is_seen_from_both_and_by_the_api(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    (one, api_one), (two, api_two) = await start_nodes(start_gateway, redis)
    async with Client(one.base, ticket="dev:ann") as ann:
        assert (await join(ann)).keys() == {"user:ann"}
        async with Client(two.base, ticket="dev:bob") as bob:
            assert (await join(bob)).keys() == {"user:ann", "user:bob"}
            (entry,) = (await diff(ann))["joined"]["user:bob"]
            assert entry["state"] == "here"
            await bob.send("room", "state", {"state": "typing"}, room="r")
            assert (await diff(ann))["changed"]["user:bob"][0]["state"] == "typing"
            for api in (api_one, api_two):
                async with Backend(api) as backend:
                    listed = (await backend.get(PRESENCE)).json
                    assert (listed["users"].keys(), listed["total_sessions"]) == ({"user:ann", "user:bob"}, 2)
        assert (await diff(ann))["left"].keys() == {"user:bob"}


async def test_an_outage_is_told_and_the_picture_is_the_truth_behind_it(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    (one, api), (two, _) = await start_nodes(start_gateway, redis, on_isolation="keep")
    async with Client(one.base, ticket="dev:ann") as ann:
        await join(ann)
        async with Client(two.base, ticket="dev:bob") as bob:
            await join(bob)
            assert (await diff(ann))["joined"].keys() == {"user:bob"}
            redis.kill()
            assert (await ann.receive())["data"] == {"degraded": True}
            async with Backend(api) as backend:
                answer = await backend.get(PRESENCE)
                assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        redis.start()
        changed = await diff(ann)
        assert (changed["joined"], changed["left"].keys()) == ({}, {"user:bob"})
        async with Backend(api) as backend:
            assert (await backend.get(PRESENCE)).json["users"].keys() == {"user:ann"}
