"""POSTs to a backend over HTTP/1.1, on connections that are kept alive: one question costs a write and a read.

No task, timer or future for each: answers come by a callback, one sweep finds what was not answered in time, a task
lives only while a connection is made. Redirects are answers like any other; no proxy of the environment, no cookie, no
compression. Trouble is a value, never an exception.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from aiohappyeyeballs import start_connection
from yarl import URL

from actors import Cancellable, Scheduler
from wsprism import __version__
from wsprism.adapters.http import HttpAnswer, HttpFailure, Trouble
from wsprism.protocol.http_answer import AnswerFault, AnswerReader

__all__ = ["Address", "Post", "Posts"]

_SWEEP_S: Final = 0.025
_IDLE_S: Final = 15.0
"""So long an unused connection is kept; most servers keep theirs longer."""

_NEXT_ADDRESS_S: Final = 0.25
"""So long one address of a host has for itself before the next one is tried beside it."""

_LEFT_S: Final = 1.0
"""So long a handshake of TLS goes on behind the time of its question, which is told in time."""

_CLOSE_S: Final = 1.0
_ATTEMPTS: Final = 2

_LATE: Final = HttpFailure("no answer in time", Trouble.TIMEOUT)
_TOO_MANY: Final = HttpFailure("too many questions at once", Trouble.TOO_MANY)
_HUNG_UP: Final = HttpFailure("it closed the connection without an answer", Trouble.UNREACHABLE)
_BROKE_OFF: Final = HttpFailure("the answer broke off")

Done = Callable[[HttpAnswer | HttpFailure], object]


class Address:
    """Where to POST, and the part of the head that is the same for all."""

    __slots__ = ("head", "host", "origin", "port", "tls")

    def __init__(self, url: str) -> None:
        parts = URL(url)
        host, port = parts.raw_host, parts.port
        if host is None or port is None:
            raise ValueError(f"no host or port in {url!r}")
        self.host = host
        self.port = port
        self.tls = parts.scheme == "https"
        self.origin = (host, port, self.tls)
        self.head = (
            f"POST {parts.raw_path_qs} HTTP/1.1\r\nHost: {parts.host_port_subcomponent}\r\n"
            f"User-Agent: wsprism/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
            "Content-Type: application/json\r\n"
        )


class Post:
    """One that is under way. ``withdraw`` it, and nobody is told."""

    __slots__ = ("address", "attempts", "connecting", "connection", "deadline", "done", "posts", "raw")

    def __init__(self, posts: Posts, address: Address, raw: bytes, deadline: float, done: Done) -> None:
        self.posts = posts
        self.address = address
        self.raw = raw
        self.deadline = deadline
        self.done = done
        self.attempts = 0
        self.connecting: asyncio.Task[None] | None = None
        self.connection: _Connection | None = None

    def withdraw(self) -> None:
        """Give it up; idempotent."""
        self.posts.end(self, None)

    def let_go(self) -> None:
        """It needs its connection no more, whose answer may still come: nobody else can use that."""
        connecting, self.connecting = self.connecting, None
        connection, self.connection = self.connection, None
        if connecting is not None:
            connecting.cancel()
        if connection is not None:
            connection.abort()


class Posts:
    """``max_bytes`` bounds each answer, ``max_connections`` what is under way, and what is kept."""

    def __init__(self, scheduler: Scheduler, *, max_bytes: int, max_connections: int) -> None:
        self.max_bytes = max_bytes
        self._scheduler = scheduler
        self._max = max_connections
        self._under_way: dict[Post, None] = {}
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}
        self._idle_count = 0
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: Cancellable | None = None
        self._closed = False

    def post(self, address: Address, headers: str, body: bytes, timeout_s: float, done: Done) -> Post:
        """POST ``body``. ``headers`` are whole lines. ``done`` is called once, in a later turn, unless it is withdrawn.

        A connection that is closed before anything was answered may have been idle for too long: asked once more.
        """
        head = f"{address.head}{headers}Content-Length: {len(body)}\r\n\r\n"
        post = Post(self, address, head.encode("latin-1") + body, self._scheduler.now() + timeout_s, done)
        full = len(self._under_way) >= self._max
        self._under_way[post] = None
        if full or self._closed:
            self._scheduler.call_soon(self.end, post, _TOO_MANY)
            return post
        self._sweep_later()
        idle = self._idle.get(address.origin)
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.is_open:
                post.attempts += 1
                connection.ask(post)
                return post
        self._connect(post)
        return post

    async def close(self) -> None:
        """Give up what is under way, nobody is told; close all connections."""
        self._closed = True
        for post in list(self._under_way):
            post.withdraw()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for task in self._tasks:
            task.cancel()
        for connection in self._connections:
            connection.abort()
        waits = [*self._tasks, *(one.lost for one in self._connections)]
        if waits:
            await asyncio.wait(waits, timeout=_CLOSE_S)

    def end(self, post: Post, answer: HttpAnswer | HttpFailure | None) -> None:
        """What came of ``post``; None: nobody wants to know. Idempotent."""
        if post in self._under_way:
            del self._under_way[post]
            post.let_go()
            if answer is not None:
                post.done(answer)

    # What connections tell

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def is_free(self, connection: _Connection) -> None:
        """It may be asked again."""
        if self._closed or self._idle_count >= self._max:
            connection.abort()
            return
        connection.idle_since = self._scheduler.now()
        self._idle.setdefault(connection.origin, []).append(connection)
        self._idle_count += 1

    def lost(self, connection: _Connection, post: Post | None, *, began: bool) -> None:
        """It is closed; ``began``: in the middle of the answer to ``post``."""
        self._connections.discard(connection)
        idle = self._idle.get(connection.origin, [])
        if connection in idle:
            idle.remove(connection)
            self._idle_count -= 1
        if post is None or post not in self._under_way:
            return
        post.connection = None
        if began:
            self.end(post, _BROKE_OFF)
        elif post.attempts >= _ATTEMPTS:
            self.end(post, _HUNG_UP)
        else:
            self._connect(post)

    def _connect(self, post: Post) -> None:
        post.attempts += 1
        task = self._scheduler.create_task(self._ask_on_new(post))
        post.connecting = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_on_new(self, post: Post) -> None:
        address = post.address
        try:
            found = await addresses_of(address.host, address.port)
            sock = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S)
            post.connecting = None  # from here on it ends by itself: uvloop would close the socket twice
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self, address.origin),
                sock=sock,
                ssl=_tls_context() if address.tls else None,
                server_hostname=address.host if address.tls else None,
                ssl_handshake_timeout=_LEFT_S + max(0.0, post.deadline - self._scheduler.now())
                if address.tls
                else None,
            )
        except (OSError, ValueError, RuntimeError) as exc:  # ValueError: a host name that cannot be looked up
            post.connecting = None
            self.end(post, HttpFailure(type(exc).__name__, Trouble.UNREACHABLE))
            return
        post.connecting = None
        if post not in self._under_way:
            connection.abort()
        elif connection.is_open:
            connection.ask(post)
        else:
            self.lost(connection, post, began=False)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = self._scheduler.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._scheduler.now()
        try:
            for post in [one for one in self._under_way if one.deadline <= now]:
                self.end(post, _LATE)
            for idle in self._idle.values():
                while idle and idle[0].idle_since + _IDLE_S <= now:
                    idle.pop(0).abort()
                    self._idle_count -= 1
            self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        finally:
            if self._under_way or self._idle_count:
                self._sweep_later()


class _Connection(asyncio.Protocol):
    """One question at a time."""

    def __init__(self, posts: Posts, origin: tuple[str, int, bool]) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._posts = posts
        self._post: Post | None = None
        self._reader: AnswerReader | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, post: Post) -> None:
        """Send a question; it is free."""
        assert self._transport is not None
        self._post = post
        self._reader = AnswerReader(self._posts.max_bytes)
        post.connection = self
        self._transport.write(post.raw)

    def abort(self) -> None:
        """Close it, whatever is under way; nobody is told."""
        self._post = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._posts.opened(self)

    def data_received(self, data: bytes) -> None:
        post, reader = self._post, self._reader
        if post is None or reader is None:  # an answer that nobody asked for, or waits for
            self.abort()
            return
        try:
            if reader.feed(data):
                self._answered(post, reader)
        except AnswerFault as fault:
            self._posts.end(post, HttpFailure(str(fault)))

    def _answered(self, post: Post, reader: AnswerReader) -> None:
        transport = self._transport
        assert transport is not None
        self._post = self._reader = post.connection = None
        if reader.keeps_alive and not transport.get_write_buffer_size() and not transport.is_closing():
            self._posts.is_free(self)
        else:
            transport.abort()
        self._posts.end(post, HttpAnswer(reader.status, reader.body, reader.retry_after))

    def connection_lost(self, exc: Exception | None) -> None:
        post, reader = self._post, self._reader
        self._post = self._reader = None
        if not self.lost.done():
            self.lost.set_result(None)
        if exc is None and post is not None and reader is not None and reader.end():
            post.connection = None
            self._posts.lost(self, None, began=False)
            self._posts.end(post, HttpAnswer(reader.status, reader.body, reader.retry_after))
        else:
            self._posts.lost(self, post, began=reader is not None and reader.began)


async def addresses_of(host: str, port: int) -> list[Any]:
    """All of them, as ``socket.getaddrinfo`` has them. A host that is one waits for nobody who looks up names."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


@lru_cache(1)
def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
