"""``qos.hot_flush_ms``: hot frames gather for a tick, ext messages do not wait for it."""

from __future__ import annotations

import asyncio

from tests.client import Client
from tests.conftest import StartGateway


async def test_hot_frames_gather_for_one_write_and_ext_does_not_wait(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"qos": {"hot_flush_ms": 1000}})
    async with Client(gateway.base) as client:
        await client.join("r")
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1.02 - loop.time() % 1)  # just behind a tick of the shared grid
        started = loop.time()
        for number in range(5):
            await client.ws.send_bytes(b"\x01\x01\x00%d" % number)
        await client.send("chat", "send", {"msg": "now"})
        assert (await client.receive())["type"] == "msg"
        assert loop.time() - started < 0.5
        assert [await client.receive_hot() for _ in range(5)] == [b"\x01\x01\x00%d" % number for number in range(5)]
        assert loop.time() - started > 0.5
