"""The game of examples/ as a service in Python: a hundred rooms of ten at 20 Hz, each a world that it decides."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import StartGateway

ROOT = Path(__file__).parents[2]
ROOMS, PLAYERS = 100, 10
TENANT: dict[str, Any] = {
    "services": {
        "ext": {},
        "hot": {9: {"kind": "python", "file": str(ROOT / "examples" / "game" / "service.py"), "to": "nobody"}},
    },
    "policy": {"ext_allowlist": ["room:*"], "hot_allowlist": ["9:1"]},
    "qos": {"conflate": "sender_opcode"},
}


async def state_of(client: Client) -> dict[str, Any]:
    """The next that it is told; other messages are passed over."""
    while not isinstance(frame := (await client.receive_frame()).data, bytes):
        pass
    assert frame[:3] == b"\x09\x02\x00"
    state: dict[str, Any] = json.loads(frame[3:])
    return state


async def test_who_steers_moves_and_who_leaves_is_gone(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme=TENANT)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("a")
        async with Client(gateway.base, ticket="dev:bob") as bob:
            await bob.join("a")
            await bob.ws.send_bytes(b"\x09\x01\x00\x00")
            await ann.ws.send_bytes(b"\x09\x01\x00\x02")
            while {"ann", "bob"} - (await state_of(ann))["players"].keys():
                pass
            while (await state_of(ann))["players"]["ann"][0] != 400:
                await ann.ws.send_bytes(b"\x09\x01\x00\x02")
        while "bob" in (await state_of(ann))["players"]:
            pass


@pytest.mark.alone
async def test_a_hundred_rooms_of_ten_have_their_ticks(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme=TENANT)
    async with contextlib.AsyncExitStack() as stack:
        rooms: list[list[Client]] = []
        for room in range(ROOMS):
            players = [Client(gateway.base, ticket=f"dev:p{room}x{one}") for one in range(PLAYERS)]
            rooms.append(players)
            for player in players:
                await stack.enter_async_context(player)
                await player.send("room", "join", room=f"room{room}")
                await player.ws.send_bytes(b"\x09\x01\x00\x02")
        firsts = [await newest(players[0]) for players in rooms]
        await asyncio.sleep(2.0)
        lasts = [await newest(players[-1]) for players in rooms]
        for room, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
            assert set(last["players"]) <= {f"p{room}x{one}" for one in range(PLAYERS)}
            assert last["tick"] > first["tick"]
        tenant = gateway.process.tenant("acme")
        assert tenant is not None
        assert not tenant.counters.services["hot", "9"].faults


async def newest(client: Client) -> dict[str, Any]:
    """Of what waits for it, the last: it may have been told much meanwhile."""
    state = await state_of(client)
    while True:
        try:
            async with asyncio.timeout(0.01):
                state = await state_of(client)
        except TimeoutError:
            return state
