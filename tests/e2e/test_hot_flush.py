"""``qos.hot_flush_ms``: hot frames gather for a tick, ext messages do not wait for it."""

from __future__ import annotations

import pytest
from aiohttp import WSMsgType

from tests.client import Client
from tests.conftest import StartGateway

pytestmark = pytest.mark.alone


async def test_ext_overtakes_hot_frames_that_gather_for_a_tick(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"qos": {"hot_flush_ms": 1000}})
    overtaken = 0
    async with Client(gateway.base) as client:
        await client.join("r")
        for _ in range(3):  # a tick may fall between the two sends: not three times
            for number in range(5):
                await client.ws.send_bytes(b"\x01\x01\x00%d" % number)
            await client.send("chat", "send", {"msg": "now"})
            frames = [await client.receive_frame() for _ in range(6)]
            overtaken += frames[0].type is WSMsgType.TEXT
            hot = [frame.data for frame in frames if frame.type is WSMsgType.BINARY]
            assert hot == [b"\x01\x01\x00%d" % number for number in range(5)]
    assert overtaken
