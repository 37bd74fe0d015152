"""The internal API of two gateways over one real Redis: asked at one, done on both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.api import Answer, Backend, start_with_api
from tests.client import Client
from tests.conftest import Running, StartGateway
from tests.redis_server import RedisServer, running_redis

ACME = "/v1/tenants/acme"
ROOMS = [
    {"match": "kept:*", "history": {"max_messages": 50}},
    {"match": "match:*", "scope": "node"},
]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def nodes(start_gateway: StartGateway, redis: RedisServer) -> AsyncIterator[list[tuple[Running, Backend]]]:
    found = []
    for number in range(2):
        running, api = await start_with_api(
            start_gateway,
            acme={"rooms": ROOMS, "auth": [{"kind": "dev"}, {"kind": "one_time"}]},
            gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}"}},
        )
        found.append((running, Backend(api)))
    yield found
    for _, backend in found:
        await backend.__aexit__(None, None, None)


Nodes = list[tuple[Running, Backend]]


def client(nodes: Nodes, node: int, user: str, sid: str | None = None) -> Client:
    return Client(nodes[node][0].base, ticket=f"dev:{user}", **({} if sid is None else {"sid": sid}))


async def join(peer: Client, room: str) -> None:
    await peer.send("room", "join", room=room)
    assert (await peer.receive())["type"] == "joined"


async def types(peer: Client, count: int) -> list[str]:
    return [(await peer.receive())["type"] for _ in range(count)]


def done(answer: Answer) -> Any:
    assert answer.status in (200, 202), answer
    return answer.json


async def test_sessions_are_reached_from_either_node(nodes: Nodes) -> None:
    (_, one), (_, two) = nodes
    async with (
        client(nodes, 0, "ann", "phone") as phone,
        client(nodes, 1, "ann", "tab") as tab,
        client(nodes, 1, "bob") as bob,
    ):
        message = {"svc": "news", "type": "item", "data": 1}
        assert done(await one.post(f"{ACME}/broadcast", message)) == {"sessions": 3}
        assert done(await two.post(f"{ACME}/users/user:ann/send", message)) == {"sessions": 2}
        assert await types(phone, 2) == await types(tab, 2) == ["item", "item"]
        assert await types(bob, 1) == ["item"]
        assert done(await one.post(f"{ACME}/rooms/a/members", {"user": "user:ann"})) == {"sessions": 2}
        await join(bob, "a")
        assert await types(phone, 1) == await types(tab, 1) == ["joined"]
        assert done(await two.post(f"{ACME}/rooms/a/publish", message)) == {"members": 3}
        removed = await two.call("DELETE", f"{ACME}/rooms/a/members", {"user": "user:ann", "sid": "phone"})
        assert done(removed) == {"sessions": 1}
        assert await types(phone, 2) == ["item", "left"]
        assert done(await two.post(f"{ACME}/disconnect", {"user": "user:ann", "reason": "bye"})) == {"sessions": 2}
        assert await phone.expect_close() == (4500, "bye")
        assert done(await one.post(f"{ACME}/disconnect", {"room": "a", "code": 4100})) == {"sessions": 1}
        assert (await bob.expect_close())[0] == 4100


async def test_a_room_of_one_node_is_reached_on_every_node(nodes: Nodes) -> None:
    (_, one), (_, two) = nodes
    async with client(nodes, 0, "ann") as ann, client(nodes, 1, "bob") as bob:
        for peer in (ann, bob):
            await join(peer, "match:1")
        message = {"svc": "news", "type": "item", "data": 1}
        assert done(await one.post(f"{ACME}/rooms/match:1/publish", message)) == {"members": 2}
        both = {"rooms": ["match:1", "a"], "messages": message}
        assert done(await two.post(f"{ACME}/publish", both)) == {"rooms": {"match:1": 2, "a": 0}}
        assert await types(ann, 2) == await types(bob, 2) == ["item", "item"]
        removed = await two.call("DELETE", f"{ACME}/rooms/match:1/members", {"user": "user:ann"})
        assert done(removed) == {"sessions": 1}
        assert await types(ann, 1) == ["left"]


async def test_a_client_that_goes_on_speaking_is_mute_from_the_answer_of_another_node_on(nodes: Nodes) -> None:
    _, (_, two) = nodes
    async with client(nodes, 1, "ann") as ann, client(nodes, 0, "bob") as bob:
        await join(ann, "kept:1")
        await join(bob, "kept:1")

        async def shout() -> None:
            for number in range(100_000):
                await bob.send("chat", "send", {"msg": str(number)}, room="kept:1")
                await asyncio.sleep(0)

        shouting = asyncio.create_task(shout())
        await asyncio.sleep(0.3)
        assert done(await two.call("DELETE", f"{ACME}/rooms/kept:1/members", {"user": "user:bob"})) == {"sessions": 1}
        top = done(await two.get(f"{ACME}/rooms/kept:1/history?limit=1&reverse=true"))["offset"]
        await asyncio.sleep(0.3)
        assert not shouting.done()
        shouting.cancel()
        assert done(await two.get(f"{ACME}/rooms/kept:1/history?limit=1&reverse=true"))["offset"] == top > 0


async def test_while_redis_is_away_nothing_of_it_is_done(nodes: Nodes, redis: RedisServer) -> None:
    _, (_, two) = nodes
    async with client(nodes, 1, "ann") as ann:
        await join(ann, "a")
        redis.kill()
        assert (await ann.receive())["type"] == "degraded"
        message = {"svc": "news", "type": "item"}
        for answer in (
            await two.post(f"{ACME}/broadcast", message),
            await two.post(f"{ACME}/users/user:ann/send", message),
            await two.post(f"{ACME}/rooms/a/publish", message),
            await two.post(f"{ACME}/publish", {"rooms": ["a"], "messages": message}),
            await two.post(f"{ACME}/rooms/b/members", {"user": "user:ann"}),
            await two.call("DELETE", f"{ACME}/rooms/a/members", {"user": "user:ann"}),
            await two.post(f"{ACME}/disconnect", {"user": "user:ann"}),
        ):
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert answer.headers["Retry-After"] == "1"
        redis.start()
        heard = [(await ann.receive())["type"] for _ in range(2)]
        assert sorted(heard) == ["degraded", "gap"]
