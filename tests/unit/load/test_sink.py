"""The collector that forgets answers what it is sent, request after request on one connection."""

from __future__ import annotations

import asyncio

from load import sink


async def test_every_export_is_answered() -> None:
    server = await asyncio.start_server(sink._serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for body in (b"spans", b""):
            writer.write(b"POST /v1/traces HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()
