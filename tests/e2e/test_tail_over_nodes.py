"""A tail of a room over nodes hears it on any node, whether or not that node has members in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.api import ADMIN, Backend, start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.e2e.test_tail import Tail
from tests.redis_server import RedisServer, running_redis
from wsprism.realtime.tenant.registry import SessionRegistry

ROOMS = [{"match": "chat:*", "history": {"max_messages": 50}}, {"match": "match:*", "scope": "node"}]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def start(start_gateway: StartGateway, redis: RedisServer) -> list[tuple[Running, str]]:
    return [
        await start_with_api(
            start_gateway,
            acme={"rooms": ROOMS},
            gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}"}},
        )
        for number in range(2)
    ]


async def join(client: Client, room: str) -> None:
    await client.send("room", "join", {}, room=room)
    while (await client.receive())["type"] != "joined":
        pass


async def heard_number(tail: Tail) -> int:
    while (said := await tail.hear())["svc"] != "chat":
        pass
    return int(said["data"]["msg"])


async def say_until_heard(client: Client, tail: Tail, room: str) -> int:
    """The number of the next message: its node listens to the room from some moment on, and misses nothing then."""
    hearing = asyncio.create_task(heard_number(tail))
    number = 0
    async with asyncio.timeout(60):
        while not hearing.done():
            await client.send("chat", "send", {"msg": str(number)}, room=room)
            number += 1
            await asyncio.wait((hearing,), timeout=0.02)
    first = await hearing
    for expected in range(first + 1, number):
        assert await heard_number(tail) == expected
    return number


def registry_of(running: Running) -> SessionRegistry:
    tenant = running.process.tenant("acme")
    assert tenant is not None
    return tenant.registry


def rooms_that_live(running: Running) -> set[str]:
    return {*registry_of(running).rooms, *registry_of(running).emptied}


@pytest.mark.parametrize("room", ["chat:1", "forgets"])
async def test_a_node_without_members_follows_the_room_for_its_tail(
    start_gateway: StartGateway, redis: RedisServer, room: str
) -> None:
    (one, _), (two, api) = await start(start_gateway, redis)
    async with Client(one.base, ticket="dev:ann") as ann:
        await join(ann, room)
        async with Tail(api, room, key=ADMIN) as tail, Tail(api, room, key=ADMIN) as second:
            number = await say_until_heard(ann, tail, room)
            await ann.send("chat", "send", {"msg": str(number)}, room=room)
            assert await heard_number(tail) == number
            while await heard_number(second) != number:
                pass
            async with Backend(api) as backend:  # at the tail's own node, which has nobody there
                said = {"svc": "chat", "type": "said", "data": {"msg": "-1"}}
                answer = await backend.post(f"/v1/tenants/acme/rooms/{room}/publish", said)
                assert answer.status == 202
                assert await heard_number(tail) == -1
        await until(lambda: room not in rooms_that_live(two))


async def test_a_tail_is_nobody_and_outlives_the_members_of_its_node(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    (one, _), (two, other) = await start(start_gateway, redis)
    async with Client(one.base, ticket="dev:ann") as ann, Tail(other, "chat:1", key=ADMIN) as tail:
        await join(ann, "chat:1")
        number = await say_until_heard(ann, tail, "chat:1")
        async with Client(two.base, ticket="dev:bob") as bob:
            await join(bob, "chat:1")
            await bob.send("chat", "send", {"msg": str(number)}, room="chat:1")
            assert await heard_number(tail) == number
        await until(lambda: "chat:1" in registry_of(two).emptied)
        for after in range(number + 1, number + 20):
            await ann.send("chat", "send", {"msg": str(after)}, room="chat:1")
            assert await heard_number(tail) == after
    async with Client(one.base, ticket="dev:ann") as ann, Tail(other, "chat:2", key=ADMIN):
        assert "chat:2" in rooms_that_live(two)
        assert "chat:2" not in registry_of(two).rooms


async def test_a_room_of_one_node_is_heard_there_alone(start_gateway: StartGateway, redis: RedisServer) -> None:
    (one, api), (two, other) = await start(start_gateway, redis)
    async with (
        Client(one.base, ticket="dev:ann") as ann,
        Tail(api, "match:1", key=ADMIN) as here,
        Tail(other, "match:1", key=ADMIN),
    ):
        await join(ann, "match:1")
        await ann.send("chat", "send", {"msg": "1"}, room="match:1")
        assert await heard_number(here) == 1
        assert "match:1" not in rooms_that_live(two)
