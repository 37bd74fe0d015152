"""Values that a room's members share, over two nodes on a real Redis: one for all, and true when Redis forgot them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.api import start_with_api
from tests.client import Client
from tests.conftest import StartGateway
from tests.redis_nodes import operator
from tests.redis_server import RedisServer, running_redis

ACK = 4
INCREMENTS = 15


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def bases(start_gateway: StartGateway, redis: RedisServer) -> list[str]:
    acme = {
        "services": {"ext": {"chat": "chat", "values": {"kind": "state"}}},
        "policy": {"ext_allowlist": ["room:*", "values:*"]},
        "rooms": [{"match": "kept:*", "history": {}}],
    }
    gateways = [
        await start_with_api(
            start_gateway,
            acme=acme,
            gateway={
                "broker": {"url": redis.url},
                "node": {"name": f"n{number}", "lease_ms": 6000, "on_isolation": "keep"},
            },
        )
        for number in range(2)
    ]
    return [running.base for running, _ in gateways]


@pytest.fixture
async def pair(bases: list[str]) -> AsyncIterator[tuple[Client, Client]]:
    """Ann on one node, Bob on the other."""
    async with Client(bases[0], ticket="dev:ann") as ann, Client(bases[1], ticket="dev:bob") as bob:
        yield ann, bob


async def heard(client: Client, *kinds: str) -> dict[str, Any]:
    """The next of these types; others are passed over."""
    while (message := await client.receive())["type"] not in kinds:
        pass
    return message


async def join(client: Client, room: str) -> None:
    await client.send("room", "join", room=room)
    assert (await heard(client, "joined", "error"))["type"] == "joined"


async def values_of(client: Client) -> tuple[int, dict[str, Any]]:
    """What is kept, as it is told to whoever asks."""
    await client.send("values", "get", seq=7)
    while (told := await heard(client, "state", "error")).get("seq") != 7:
        pass
    assert told["type"] == "state", told
    return told["data"]["version"], {key: one["value"] for key, one in told["data"]["entries"].items()}


async def count_up(client: Client) -> None:
    """As whoever shares a counter does: by the version that was seen, again where another was quicker."""
    for _ in range(INCREMENTS):
        while True:
            await client.send("values", "get", {"key": "n"}, seq=1)
            while (told := await heard(client, "state")).get("seq") != 1:
                pass
            entry = told["data"]["entries"].get("n", {"value": 0, "version": 0})
            wanted = {"key": "n", "value": entry["value"] + 1, "if_version": entry["version"]}
            await client.send("values", "set", wanted, seq=2, flags=ACK)
            if (await heard(client, "ack", "error"))["type"] == "ack":
                break


@pytest.mark.parametrize("room", ["r", "kept:r"])
async def test_members_on_all_nodes_share_one_state(pair: tuple[Client, Client], bases: list[str], room: str) -> None:
    for client in pair:
        await join(client, room)
    await asyncio.gather(*map(count_up, pair))
    versions: list[int] = []
    for client in pair:
        assert await values_of(client) == (2 * INCREMENTS, {"n": 2 * INCREMENTS})
    await pair[0].send("values", "set", {"key": "last", "value": True})
    for client in pair:
        changed = await heard(client, "changed")
        while changed["data"]["key"] != "last":
            changed = await heard(client, "changed")
        versions.append(changed["data"]["version"])
    assert versions == [2 * INCREMENTS + 1] * 2
    for base in bases:
        async with Client(base, ticket="dev:late") as late:
            await join(late, room)
            told = await late.receive()
            assert (told["type"], told["data"]["version"]) == ("state", 2 * INCREMENTS + 1)
            assert told["data"]["entries"]["n"] == {
                "value": 2 * INCREMENTS,
                "version": 2 * INCREMENTS,
                "from": told["data"]["entries"]["n"]["from"],
            }


async def test_values_end_with_the_last_member_of_all_nodes(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    await join(ann, "r")
    await join(bob, "r")
    await ann.send("values", "set", {"key": "k", "value": 1}, flags=ACK, seq=1)
    await heard(ann, "ack")
    await ann.send("room", "leave", room="r")
    await heard(ann, "left")
    assert await values_of(bob) == (1, {"k": 1})
    await bob.send("room", "leave", room="r")
    await heard(bob, "left")
    async with asyncio.timeout(60):
        while True:  # until both nodes have let go of the room
            await join(ann, "r")
            if await values_of(ann) == (0, {}):
                return
            await ann.send("room", "leave", room="r")
            await heard(ann, "left")
            await asyncio.sleep(0.05)


async def test_when_redis_has_forgotten_everything_members_are_told_what_is_true(
    pair: tuple[Client, Client], redis: RedisServer
) -> None:
    ann, bob = pair
    for client in pair:
        await join(client, "r")
    await ann.send("values", "set", {"key": "k", "value": 1}, flags=ACK, seq=1)
    for client in pair:
        await heard(client, "changed")
    async with operator(redis) as other:
        await other.ask("FLUSHALL")
    for client in pair:
        await heard(client, "gap")
        told = await heard(client, "state", "changed")
        assert (told["type"], told["data"]) == ("state", {"version": 0, "entries": {}})
    async with asyncio.timeout(60):
        while True:  # until the nodes are counted again
            await bob.send("values", "set", {"key": "k", "value": 2, "if_version": 0}, seq=2, flags=ACK)
            if (answer := await heard(bob, "ack", "error"))["type"] == "ack":
                break
            assert answer["data"]["code"] == "UNAVAILABLE"
            await asyncio.sleep(0.1)
    for client in pair:
        assert await values_of(client) == (1, {"k": 2})


async def test_while_redis_is_away_nothing_is_changed(pair: tuple[Client, Client], redis: RedisServer) -> None:
    ann, _ = pair
    for client in pair:
        await join(client, "r")
    redis.kill()
    await heard(ann, "degraded")
    for kind, data in (("set", {"key": "k", "value": 1}), ("get", None)):
        await ann.send("values", kind, data, seq=3)
        assert (await heard(ann, "error", "state"))["data"]["code"] == "UNAVAILABLE"
