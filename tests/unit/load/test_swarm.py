"""Real sockets against a small server: greeting, counting, refusal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from load.counting import PAYLOAD_BYTES, Tally, plain_payload
from load.swarm import Connection, ConnectionFailedError, Greeting, connect_all

_HELLO = b"hello"


@contextlib.asynccontextmanager
async def _serving(answer: bytes) -> AsyncIterator[int]:
    """The port of a server that answers, welcomes, and echoes payloads."""

    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await reader.readexactly(len(_HELLO))
            writer.write(b"welcome")
            while True:
                writer.write(await reader.readexactly(PAYLOAD_BYTES))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*handlers)


def _greeting(*, stalled: bool = False) -> Greeting:
    return Greeting(b"GET / HTTP/1.1\r\n\r\n", _HELLO, lambda received: b"welcome" in received, stalled)


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.abort()


async def test_connections_are_greeted_and_what_follows_is_counted() -> None:
    tally = Tally()
    async with _serving(b"HTTP/1.1 101 Switching\r\n\r\n") as port:
        connections = await connect_all(port, [(_greeting(), tally)] * 3, concurrency=2)
        for connection in connections:
            connection.send(plain_payload() * 2)
        async with asyncio.timeout(60):
            while tally.received < 6:  # noqa: ASYNC110 - the protocol under test has no event to wait for
                await asyncio.sleep(0)
        assert tally.bytes == 6 * PAYLOAD_BYTES
        _close(connections)


async def test_a_stalled_connection_is_welcomed_and_then_reads_nothing() -> None:
    tally = Tally()
    async with _serving(b"HTTP/1.1 101 Switching\r\n\r\n") as port:
        (connection,) = await connect_all(port, [(_greeting(stalled=True), tally)])
        assert connection.transport is not None
        assert not connection.transport.is_reading()
        _close([connection])


async def test_a_refusal_is_an_error_that_holds_the_answer() -> None:
    async with _serving(b"HTTP/1.1 429 Too Many\r\n\r\n") as port:
        with pytest.raises(ConnectionFailedError, match="429"):
            await connect_all(port, [(_greeting(), Tally())])
