"""A planned restart of a real gateway process loses no room's history; a crash ends every epoch."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api import ADMIN, Backend
from tests.client import Client, until
from tests.components import free_port
from tests.process import GatewayCommand

ROOM = "chat:1"
PUBLISH = f"/v1/tenants/acme/rooms/{ROOM}/publish"
CONFIG = """
version: 1
gateway:
  listen: 127.0.0.1:0
  state_file: state.db
  drain_grace_ms: 200
  internal: {{listen: "127.0.0.1:{port}", api_keys: [{{name: admin, key: {key}}}]}}
tenants:
- id: acme
  auth: {{kind: dev}}
  policy: {{ext_allowlist: ["room:*", "chat:*"]}}
  services: {{ext: {{chat: {{kind: chat}}}}}}
  rooms: [{{match: "chat:*", {history}}}]
"""
HISTORY = "history: {max_messages: 100}"

Start = Callable[..., GatewayCommand]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def command(history: str = HISTORY) -> GatewayCommand:
        return GatewayCommand(CONFIG.format(port=free_port(), key=ADMIN, history=history), tmp_path)

    return command


async def join(client: Client, **data: Any) -> Any:
    await client.send("room", "join", data, room=ROOM)
    while (message := await client.receive())["type"] != "joined":
        pass
    return message["data"]


async def say(client: Client, text: str, id: str) -> int:
    """Publish with an ack; the offset that it got."""
    await client.send("chat", "send", {"msg": text}, room=ROOM, id=id, seq=7, flags=4)
    while (message := await client.receive())["type"] != "ack":
        pass
    return int(message["data"]["offset"])


async def end(gateway: GatewayCommand, number: signal.Signals) -> None:
    gateway.signal(number)
    await gateway.wait(60)


async def test_after_a_planned_restart_everybody_recovers_and_nothing_is_published_twice(start: Start) -> None:
    async with start() as gateway, Backend(gateway.internal_base) as backend:
        async with Client(gateway.base, ticket="dev:ann") as ann:
            place = await join(ann)
            assert await say(ann, "hello", id="once") == 1
        for number in (2, 3):
            assert (await backend.post(PUBLISH, {"svc": "a", "type": "b", "data": number})).json["offset"] == number
        async with Client(gateway.base, ticket="dev:bob") as bob:  # is there when it ends
            await join(bob)
            await end(gateway, signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGKILL):  # what was given back once is kept again
        async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
            back = await join(ann, since={"epoch": place["epoch"], "offset": 1})
            assert (back["epoch"], back["offset"]) == (place["epoch"], 3)
            assert (back["recovered"], back["count"]) == (True, 2)
            assert [(one["offset"], one["data"]) for one in [await ann.receive(), await ann.receive()]] == [
                (2, 2),
                (3, 3),
            ]
            assert await say(ann, "hello", id="once") == 1
            await end(gateway, number)
    async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        back = await join(ann, since={"epoch": place["epoch"], "offset": 3})
        assert (back["recovered"], back["count"], back["offset"]) == (False, 0, 0)
        assert back["epoch"] != place["epoch"]


async def test_what_was_acknowledged_while_it_ended_is_there_again_once(start: Start) -> None:
    busy = "history: {max_messages: 10000, max_bytes: 4194304, recover_max_messages: 10000}"
    acked: dict[str, int] = {}
    texts = map(str, count())

    async def publish(client: Client) -> None:
        with contextlib.suppress(AssertionError, ConnectionError):  # the drain has closed it
            while True:
                text = next(texts)
                acked[text] = await say(client, text, id=text)

    async def call(backend: Backend) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                text = next(texts)
                body = {"svc": "chat", "type": "msg", "data": {"msg": text}, "id": text}
                answer = await backend.post(PUBLISH, body)
                if answer.status != 202:
                    return
                acked[text] = answer.json["offset"]

    async with (
        start(busy) as gateway,
        Backend(gateway.internal_base) as backend,
        Client(gateway.base, ticket="dev:ann") as ann,
    ):
        place = await join(ann)
        both = asyncio.gather(publish(ann), call(backend))
        await until(lambda: len(acked) > 50)
        await end(gateway, signal.SIGTERM)
        await both
    async with start(busy) as gateway, Client(gateway.base, ticket="dev:bob") as bob:
        back = await join(bob, since={"epoch": place["epoch"], "offset": 0})
        assert back["recovered"] is True
        heard = [await bob.receive() for _ in range(back["count"])]
        assert [one["offset"] for one in heard] == list(range(1, back["offset"] + 1))
        there = {one["data"]["msg"]: one["offset"] for one in heard}
        assert len(there) == len(heard)
        assert acked.items() <= there.items()


async def test_a_start_that_fails_loses_nothing_either(start: Start) -> None:
    async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        place = await join(ann)
        await say(ann, "hello", id="1")
        await end(gateway, signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        fails = start()
        text = fails.path.read_text()
        fails.path.write_text(text.replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{taken.getsockname()[1]}", 1))
        with pytest.raises(RuntimeError, match="Address already in use"):
            await fails.__aenter__()
    async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        back = await join(ann, since={"epoch": place["epoch"], "offset": 0})
        assert (back["recovered"], back["count"]) == (True, 1)


async def test_a_room_without_a_history_now_has_none_and_an_entry_that_cannot_be_read_is_said(
    start: Start, tmp_path: Path
) -> None:
    async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        place = await join(ann)
        await end(gateway, signal.SIGTERM)
    since = {"epoch": place["epoch"], "offset": 0}
    with sqlite3.connect(tmp_path / "state.db") as file:
        file.execute("INSERT INTO entries VALUES ('acme', 'history', x'000000000000000963', x'c1', NULL)")
    file.close()
    async with start("presence: {enabled: true}") as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        assert (await join(ann, since=since))["recovered"] is False
        assert any("a room begins anew" in line for line in gateway.log)
        await end(gateway, signal.SIGTERM)
    async with start() as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        assert (await join(ann, since=since))["recovered"] is False
