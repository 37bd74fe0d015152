"""Many client connections on one loop: connect, greet, then count what arrives.

All connections read into one shared buffer (a loop reads one socket at a time), so that 10,000 of them need no memory
of their own beyond the bytes that they carry over. Called by ``measure`` and ``special``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from load.counting import CARRY, Receiver, Tally
from load.peers.base import HOST

__all__ = ["Connection", "ConnectionFailedError", "Greeting", "connect_all", "now_us"]

_BUFFER = bytearray(CARRY + 512 * 1024)
_READS = memoryview(_BUFFER)[CARRY:]
_CONNECT_WITHIN_S = 60.0
_STALLED_RECEIVE_BYTES = 4096


def now_us() -> int:
    """Monotonic microseconds."""
    return time.monotonic_ns() // 1000


class ConnectionFailedError(Exception):
    """A connection was refused, or ended while it was greeted. ``received`` is what the server said."""

    def __init__(self, received: bytes) -> None:
        super().__init__(received)
        self.received = received

    def __str__(self) -> str:
        return f"the server ended the connection after {self.received[:200]!r}"


@dataclass(frozen=True, slots=True)
class Greeting:
    """``request`` upgrades, ``hello`` follows the answer, ``welcomed`` says when bytes since the answer are enough."""

    request: bytes
    hello: bytes
    welcomed: Callable[[bytes], bool]
    stalled: bool = False
    """Never read again once welcomed."""
    port: int = 0
    """Where to connect to, if that is not the same for all."""


class Connection(asyncio.BufferedProtocol):
    """One client socket. ``ready`` is set when it has been welcomed."""

    __slots__ = ("_blocked", "_fd", "_greeting", "_head", "_upgraded", "closed", "ready", "receiver", "transport")

    def __init__(self, greeting: Greeting, tally: Tally, ready: asyncio.Future[None]) -> None:
        self._greeting: Greeting | None = greeting
        self._head = b""
        self._upgraded = False
        self._blocked = False
        self._fd = -1
        self.ready = ready
        self.receiver = Receiver(tally)
        self.closed = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the upgrade request."""
        self.transport = cast(asyncio.Transport, transport)
        self._fd = transport.get_extra_info("socket").fileno()
        assert self._greeting is not None
        self.transport.write(self._greeting.request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - one size for all
        """The shared buffer, with this connection's carry in front."""
        self.receiver.prepare(_BUFFER)
        return _READS

    def buffer_updated(self, nbytes: int) -> None:
        """Count, or go on with the greeting."""
        if self._greeting is None:
            self.receiver.take(_BUFFER, nbytes, now_us())
        else:
            self._greet(self._greeting, bytes(_READS[:nbytes]))

    def _greet(self, greeting: Greeting, data: bytes) -> None:
        assert self.transport is not None
        self._head += data
        if not self._upgraded:
            answer, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not answer.startswith(b"HTTP/1.1 101"):
                self._fail()
                self.transport.abort()
                return
            self._upgraded = True
            self._head = rest
            if greeting.hello:
                self.transport.write(greeting.hello)
        if greeting.welcomed(self._head):
            self._greeting = None
            self._head = b""
            if greeting.stalled:
                self.transport.pause_reading()
            if not self.ready.done():
                self.ready.set_result(None)

    def _fail(self) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionFailedError(self._head))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the state says enough
        """A connection that ends while greeted has failed."""
        self.closed = True
        self._fail()

    def send(self, frame: bytes) -> None:
        """Write at once, past the loop while nothing is queued there: it costs half."""
        if self.closed or self.transport is None:
            return
        if self._blocked:
            self._blocked = self.transport.get_write_buffer_size() > 0
        sent = 0
        if not self._blocked:
            try:
                sent = os.write(self._fd, frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.transport.abort()
                return
        if sent < len(frame):
            self._blocked = True
            self.transport.write(frame[sent:])

    def abort(self) -> None:
        """Drop the socket."""
        if self.transport is not None:
            self.transport.abort()


def _small_socket() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_RECEIVE_BYTES)
    endpoint.setblocking(False)
    return endpoint


async def _connect(port: int, greeting: Greeting, tally: Tally) -> Connection:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    connection = Connection(greeting, tally, ready)
    port = greeting.port or port
    if greeting.stalled:
        endpoint = _small_socket()
        await loop.sock_connect(endpoint, (HOST, port))
        await loop.create_connection(lambda: connection, sock=endpoint)
    else:
        await loop.create_connection(lambda: connection, HOST, port)
    await ready
    return connection


async def connect_all(
    port: int,
    greetings: Iterable[tuple[Greeting, Tally]],
    *,
    concurrency: int = 64,
    on_ready: Callable[[int], None] | None = None,
) -> list[Connection]:
    """Connect all, ``concurrency`` at a time, in order of the result. ``on_ready`` hears how many are welcomed.

    Raises ConnectionFailedError, OSError or TimeoutError; those connected until then are dropped.
    """
    queue: Iterator[tuple[int, tuple[Greeting, Tally]]] = enumerate(greetings)
    connected: dict[int, Connection] = {}

    async def work() -> None:
        for place, (greeting, tally) in queue:
            connected[place] = await _connect(port, greeting, tally)
            if on_ready is not None:
                on_ready(len(connected))

    workers = [asyncio.ensure_future(work()) for _ in range(concurrency)]
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await asyncio.gather(*workers)
    except BaseException:
        for worker in workers:
            worker.cancel()
        for connection in connected.values():
            connection.abort()
        with contextlib.suppress(Exception):
            await asyncio.gather(*workers, return_exceptions=True)
        raise
    return [connected[place] for place in sorted(connected)]
