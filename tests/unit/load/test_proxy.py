"""The proxy between clients and what they reach: nothing that it accepted stays open behind it."""

from __future__ import annotations

import asyncio
import contextlib

from load.proxy import Proxy
from tests.components import free_port


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection, without a word."""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):
            return await reader.read() == b""
    return True


async def test_a_connection_is_ended_where_nobody_listens_behind_the_proxy() -> None:
    async with Proxy(free_port()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await ends(reader)
        writer.close()


async def test_a_connection_that_is_on_its_way_when_the_proxy_ends_is_ended() -> None:
    async with Proxy(free_port()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await ends(reader)
    writer.close()
