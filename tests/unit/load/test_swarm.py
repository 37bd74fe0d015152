"""Real sockets against a small server: greeting, counting, refusal."""

from __future__ import annotations

import asyncio

import pytest

from load.counting import Tally, plain_payload
from load.swarm import ConnectionFailedError, Greeting, connect_all


async def _serve(answer: bytes, after_hello: bytes) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.readexactly(5)
        writer.write(after_hello)
        await reader.read()
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


def _greeting() -> Greeting:
    return Greeting(b"GET / HTTP/1.1\r\n\r\n", b"hello", lambda received: b"welcome" in received)


async def test_connections_are_greeted_and_what_follows_is_counted() -> None:
    tally = Tally()
    server = await _serve(b"HTTP/1.1 101 Switching\r\n\r\n", b"welcome")
    async with server:
        port = server.sockets[0].getsockname()[1]
        connections = await connect_all(port, [(_greeting(), tally)] * 3)
        connections[0].buffer_updated(0)
        assert len(connections) == 3
        assert not any(connection.closed for connection in connections)
        for connection in connections:
            connection.send(plain_payload())
            connection.abort()
        await asyncio.sleep(0)


async def test_a_refusal_is_an_error_that_holds_the_answer() -> None:
    server = await _serve(b"HTTP/1.1 429 Too Many\r\n\r\n", b"")
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionFailedError, match="429"):
            await connect_all(port, [(_greeting(), Tally())])
