"""Behaviours of both SDKs (clients/behaviours.md): rooms that remember, at a real gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.sdk.conftest import CONFIG, KEY
from tests.sdk.sdk import Client, Room, Sdk

pytestmark = pytest.mark.asyncio(loop_scope="session")

TENANT = "mindful"


async def _client(sdk: Sdk, at: GatewayCommand | Proxy, user: str = "ann", **options: Any) -> Client:
    return await sdk.client(f"ws://127.0.0.1:{at.port}", tenant=TENANT, ticket=f"dev:{user}", **options)


async def _room(sdk: Sdk, at: GatewayCommand | Proxy, name: str, user: str = "ann", **options: Any) -> Room:
    room = await (await _client(sdk, at, user)).room(f"{name}-{sdk.name}", **options)
    await room.call("joined")
    return room


async def _say(room: Room, *texts: str) -> list[Any]:
    return [await room.call("publish", "send", {"msg": text}) for text in texts]


async def _heard(room: Room, count: int) -> list[tuple[int, str]]:
    messages = [await room.event("message") for _ in range(count)]
    return [(message["offset"], message["data"]["msg"]) for message in messages]


async def test_offsets_count_without_a_gap(sdk: Sdk, gateway: GatewayCommand) -> None:
    room = await _room(sdk, gateway, "counts")
    assert await _say(room, "a", "b", "c") == [1, 2, 3]
    assert await _heard(room, 3) == [(1, "a"), (2, "b"), (3, "c")]


async def test_what_was_missed_comes_in_order_and_once(sdk: Sdk, gateway: GatewayCommand, proxy: Proxy) -> None:
    away = await _client(sdk, proxy)
    listener = await away.room(f"misses-{sdk.name}")
    await listener.call("joined")
    speaker = await _room(sdk, gateway, "misses", "bob")
    await _say(speaker, "a")
    assert await _heard(listener, 1) == [(1, "a")]
    proxy.refuse()
    proxy.cut()
    await away.state("waiting")
    await _say(speaker, "b", "c")
    proxy.refuse(False)
    assert await listener.event("recovered") == {"count": 2}
    await _say(speaker, "d")
    assert await _heard(listener, 3) == [(2, "b"), (3, "c"), (4, "d")]


async def test_a_publish_whose_ack_was_lost_is_published_once(sdk: Sdk, gateway: GatewayCommand, proxy: Proxy) -> None:
    watching = await _room(sdk, gateway, "once", "bob")
    away = await _client(sdk, proxy)
    room = await away.room(f"once-{sdk.name}")
    await room.call("joined")
    proxy.keep_answers()
    publishing = room.calling("publish", "send", {"msg": "a"})
    assert await _heard(watching, 1) == [(1, "a")]
    proxy.cut()
    proxy.keep_answers(False)
    assert await publishing == 1
    assert await _say(room, "b") == [2]
    assert await _heard(watching, 1) == [(2, "b")]


async def test_a_restart_without_memory_is_told(sdk: Sdk, tmp_path: Path) -> None:
    async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path) as first, Proxy(first.port) as proxy:
        room = await _room(sdk, proxy, "forgets")
        await _say(room, "a")
        epoch = (await room.call("joined"))["epoch"]
        async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path) as second:
            proxy.to_port = second.port
            proxy.cut()
            lost = await room.event("lost")
            assert lost["epoch"] != epoch
            assert lost["offset"] == 0
            assert await _say(room, "b") == [1]


async def test_a_purge_is_told(sdk: Sdk, gateway: GatewayCommand) -> None:
    room = await _room(sdk, gateway, "purged")
    await _say(room, "a", "b")
    await _heard(room, 2)
    address = f"{gateway.internal_base}/v1/tenants/{TENANT}/rooms/{room.name}/history"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.delete(address) as answer:
        assert answer.status < 300, await answer.text()
    assert (await room.event("lost"))["offset"] == 0
    assert await _say(room, "c") == [1]
    assert await _heard(room, 1) == [(1, "c")]


async def test_what_the_room_remembers_can_be_read(sdk: Sdk, gateway: GatewayCommand) -> None:
    room = await _room(sdk, gateway, "reads")
    await _say(room, "a", "b", "c")
    page = await room.call("history", limit=2, reverse=True)
    assert [(item["offset"], item["data"]["msg"]) for item in page["items"]] == [(3, "c"), (2, "b")]
    assert page["more"] is True
    rest = await room.call("history", since={"epoch": page["epoch"], "offset": 0}, limit=1)
    assert [item["data"]["msg"] for item in rest["items"]] == ["a"]


async def test_who_is_there_is_known(sdk: Sdk, gateway: GatewayCommand) -> None:
    room = await _room(sdk, gateway, "there", presence=True, state={"mood": 1})
    listing = (await room.call("joined"))["presence"]
    assert [entry["state"] for entry in listing["users"]["user:ann"]] == [{"mood": 1}]
    other = await _room(sdk, gateway, "there", "bob")
    joined = await room.event("presence", lambda diff: bool(diff.get("joined")))
    (sid,) = [entry["sid"] for entry in joined["joined"]["user:bob"]]
    await other.call("set_state", {"typing": True})
    changed = await room.event("presence", lambda diff: bool(diff.get("changed")))
    assert changed["changed"]["user:bob"][0]["state"] == {"typing": True}
    await other.call("leave")
    left = await room.event("presence", lambda diff: bool(diff.get("left")))
    assert left["left"] == {"user:bob": [sid]}


async def test_ones_state_comes_back_after_a_cut(sdk: Sdk, gateway: GatewayCommand, proxy: Proxy) -> None:
    room = await _room(sdk, proxy, "state")
    await room.call("set_state", {"typing": True})
    proxy.cut()
    await room.event("recovered")
    watching = await _room(sdk, gateway, "state", "bob", presence=True)
    listing = (await watching.call("joined"))["presence"]
    assert {"typing": True} in [entry.get("state") for entry in listing["users"]["user:ann"]]


async def test_a_hot_frame_names_its_room(sdk: Sdk, gateway: GatewayCommand) -> None:
    sender = await _client(sdk, gateway)
    rooms = [await sender.room(f"hot-{number}-{sdk.name}") for number in range(2)]
    heard = [await _room(sdk, gateway, f"hot-{number}", "bob") for number in range(2)]
    for room in rooms:
        await room.call("joined")
    for number, room in enumerate(rooms):
        assert await room.call("hot", 1, 7, {"hex": f"0{number}"}) is True
    for number, room in enumerate(heard):
        frame = await room.event("hot")
        assert frame["payload"] == {"hex": f"0{number}"}


async def test_a_tenant_that_is_not_there_is_the_end(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", tenant="nobody")
    client.calling("connect")
    assert (await client.state("closed"))["reason"]["code"] == 4505
