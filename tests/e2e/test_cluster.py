"""Two gateways over one real Redis: one order for all members, and what happens while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.api import Backend, start_with_api
from tests.client import Client
from tests.conftest import Running, StartGateway
from tests.redis_server import RedisServer, running_redis
from wsprism.errors import OperatorError

ACME = "/v1/tenants/acme"
ROOMS = [
    {"match": "chat:*", "history": {"max_messages": 50}},
    {"match": "match:*", "scope": "node"},
]

StartNodes = Callable[..., Awaitable[list[tuple[Running, str]]]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def start_nodes(start_gateway: StartGateway, redis: RedisServer) -> StartNodes:
    async def start(count: int = 2, **node: Any) -> list[tuple[Running, str]]:
        return [
            await start_with_api(
                start_gateway,
                acme={"rooms": ROOMS},
                gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}", **node}},
            )
            for number in range(count)
        ]

    return start


async def join(client: Client, room: str, **data: Any) -> dict[str, Any]:
    await client.send("room", "join", data, room=room)
    joined = await client.receive()
    assert joined["type"] == "joined", joined
    return dict(joined["data"])


async def ready(base: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{base}/readyz") as answer:
        return answer.status


async def figures_of(base: str) -> dict[str, float]:
    """Those without labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{base}/metrics") as answer:
        lines = [line.split() for line in (await answer.text()).splitlines() if line.startswith("wsprism_")]
    return {line[0]: float(line[1]) for line in lines if "{" not in line[0]}


async def until_ready(base: str, status: int) -> None:
    async with asyncio.timeout(60):
        while await ready(base) != status:  # noqa: ASYNC110 (another process's doing)
            await asyncio.sleep(0.05)


async def test_members_on_both_nodes_see_one_order_and_recover_on_either(start_nodes: StartNodes) -> None:
    (one, _), (two, api_two) = await start_nodes()
    async with Client(one.base, ticket="dev:ann") as ann, Client(two.base, ticket="dev:bob") as bob:
        place = await join(ann, "chat:1")
        assert (await join(bob, "chat:1"))["epoch"] == place["epoch"]
        for number in range(10):
            await ann.send("chat", "send", {"msg": f"a{number}"}, room="chat:1")
            await bob.send("chat", "send", {"msg": f"b{number}"}, room="chat:1")
        heard = [[await peer.receive() for _ in range(20)] for peer in (ann, bob)]
        assert heard[0] == heard[1]
        assert [message["offset"] for message in heard[0]] == list(range(1, 21))
        async with Backend(api_two) as backend:
            answer = await backend.post(f"{ACME}/rooms/chat:1/publish", {"svc": "a", "type": "b", "data": 1})
            assert answer.json["offset"] == 21
            page = await backend.get(f"{ACME}/rooms/chat:1/history?since_offset=19")
            assert [item["offset"] for item in page.json["items"]] == [20, 21]
        assert (await ann.receive())["offset"] == (await bob.receive())["offset"] == 21
    async with Client(two.base, ticket="dev:ann") as ann:
        back = await join(ann, "chat:1", since={"epoch": place["epoch"], "offset": 15})
        assert (back["recovered"], back["count"]) == (True, 6)
        assert [(await ann.receive())["offset"] for _ in range(6)] == list(range(16, 22))


async def test_hot_frames_reach_the_other_node_and_a_room_of_one_node_does_not(start_nodes: StartNodes) -> None:
    (one, _), (two, _) = await start_nodes()
    frame = bytes((2, 1, 0)) + b"here"
    async with Client(one.base, ticket="dev:ann") as ann, Client(two.base, ticket="dev:bob") as bob:
        await join(ann, "chat:hot")
        await join(bob, "chat:hot")
        await ann.ws.send_bytes(frame)
        arrived = await bob.ws.receive(30)
        assert arrived.data.endswith(b"here")
        await join(ann, "match:1")
        await join(bob, "match:1")
        await ann.send("chat", "send", {"msg": "only here"}, room="match:1")
        assert (await ann.receive())["data"]["msg"] == "only here"
        await bob.send("chat", "send", {"msg": "there"}, room="match:1")
        assert (await bob.receive())["data"]["msg"] == "there"


async def test_while_redis_is_away_clients_are_told_and_afterwards_nothing_is_missing(
    start_nodes: StartNodes, redis: RedisServer
) -> None:
    (one, api), (two, _) = await start_nodes()
    async with Client(one.base, ticket="dev:ann") as ann, Client(two.base, ticket="dev:bob") as bob:
        await join(ann, "chat:1")
        await join(bob, "chat:1")
        redis.kill()
        for peer in (ann, bob):
            told = await peer.receive()
            assert (told["type"], told["data"]) == ("degraded", {"degraded": True})
        await ann.send("chat", "send", {"msg": "lost"}, room="chat:1", seq=4)
        assert (await ann.receive())["data"]["code"] == "UNAVAILABLE"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Client(one.base, ticket="dev:cora").open()
        assert (refused.value.status, refused.value.headers and refused.value.headers["Retry-After"]) == (503, "2")
        async with Backend(api) as backend:
            answer = await backend.post(f"{ACME}/rooms/chat:1/publish", {"svc": "a", "type": "b", "data": 1})
            assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        away = await figures_of(api)
        assert [away[f"wsprism_{name}"] for name in ("redis_away", "degraded", "degradations_total")] == [1, 1, 1]
        assert away["wsprism_node_lease_age_seconds"] > 1
        redis.start()
        for peer in (ann, bob):
            heard = [await peer.receive(), await peer.receive()]
            assert sorted(message["type"] for message in heard) == ["degraded", "gap"]
            assert {"degraded": False} in [message["data"] for message in heard]
        await bob.send("chat", "send", {"msg": "again"}, room="chat:1")
        assert [(await peer.receive())["data"]["msg"] for peer in (ann, bob)] == ["again", "again"]
    back = await figures_of(api)
    assert [back[f"wsprism_{name}"] for name in ("redis_away", "degraded", "degradations_total")] == [0, 0, 1]
    assert back["wsprism_node_lease_age_seconds"] < away["wsprism_node_lease_age_seconds"]


async def test_limits_hold_over_both_nodes_and_a_user_is_kicked_and_revoked_on_either(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    nodes = [
        await start_with_api(
            start_gateway,
            acme={
                "limits": {"max_users_per_room": 2},
                "policy": {"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}},
            },
            gateway={"broker": {"url": redis.url}},
        )
        for _ in range(2)
    ]
    (one, _), (two, api_two) = nodes
    async with Client(one.base, ticket="dev:ann") as ann, Client(two.base, ticket="dev:bob") as bob:
        await join(ann, "a")
        await join(bob, "a")
        async with Client(two.base, ticket="dev:cora") as cora:
            await cora.send("room", "join", room="a")
            assert (await cora.receive())["data"]["code"] == "RESOURCE_EXHAUSTED"
        async with Client(two.base, ticket="dev:ann") as again:
            assert await ann.expect_close() == (4500, "kicked_oldest")
            await join(again, "a")
            async with Backend(api_two) as backend:
                answer = await backend.post(f"{ACME}/revoke", {"user": "user:ann"})
                assert (answer.status, answer.json) == (200, {"sessions": 1}), answer
            assert await again.expect_close() == (4502, "ticket revoked")
        for node, _ in nodes:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await Client(node.base, ticket="dev:ann").open()
            assert refused.value.status == 401


async def test_a_node_without_redis_waits_and_is_not_ready(start_nodes: StartNodes, redis: RedisServer) -> None:
    redis.kill()
    ((_, api),) = await start_nodes(1)
    assert await ready(api) == 503
    redis.start()
    await until_ready(api, 200)


@pytest.mark.parametrize("mode", ["close", "keep"])
async def test_a_node_that_is_cut_off_for_too_long_closes_or_keeps_its_sessions(
    start_nodes: StartNodes, redis: RedisServer, mode: str
) -> None:
    ((one, api),) = await start_nodes(1, lease_ms=3000, on_isolation=mode)
    async with Client(one.base, ticket="dev:ann") as ann:
        redis.kill()
        assert (await ann.receive())["type"] == "degraded"
        if mode == "close":
            assert (await ann.expect_close())[0] == 1012
        else:
            await until_ready(api, 503)
            redis.start()
            assert (await ann.receive())["data"] == {"degraded": False}


async def test_a_broker_that_cannot_be_used_ends_the_start(start_gateway: StartGateway) -> None:
    with pytest.raises(OperatorError, match="the scheme 'http' is unknown"):
        await start_gateway(gateway={"broker": {"url": "http://127.0.0.1"}})
