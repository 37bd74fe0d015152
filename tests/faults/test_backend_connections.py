"""Connections to a backend: kept alive, never used by two questions, and what is late or broken costs nobody else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohappyeyeballs import start_connection

from actors import LoopScheduler
from tests.backends import raw_backend
from tests.certificates import make_certificate
from wsprism.adapters.backend import posts as module
from wsprism.adapters.backend.posts import Address, Posts
from wsprism.adapters.http import HttpAnswer, HttpFailure, Trouble

pytestmark = pytest.mark.both_loops

WAIT_S = 30.0
Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def opened(max_connections: int = 10) -> AsyncIterator[Posts]:
    posts = Posts(LoopScheduler(asyncio.get_running_loop()), max_bytes=1000, max_connections=max_connections)
    try:
        yield posts
    finally:
        await posts.close()


async def ask(posts: Posts, url: str, body: bytes = b"{}", timeout_s: float = WAIT_S) -> HttpAnswer | HttpFailure:
    answer: asyncio.Future[HttpAnswer | HttpFailure] = asyncio.get_running_loop().create_future()
    posts.post(Address(url), "", body, timeout_s, answer.set_result)
    return await asyncio.wait_for(answer, WAIT_S)


async def is_late(posts: Posts, url: str, came: asyncio.Event, timeout_s: float) -> None:
    """A question that the backend, ``came`` says, has begun to hear; on a busy machine its time may be over before."""
    while not came.is_set():
        got = await ask(posts, url, timeout_s=timeout_s)
        assert isinstance(got, HttpFailure)
        assert got.kind is Trouble.TIMEOUT


async def read_question(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return await reader.readexactly(length)


def answer_of(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (extra, len(body), body)


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """Where a connection is neither made nor refused: whoever listens there has no place for one more."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()


class Server:
    """Echoes each body with ``extra`` headers and what stands ``behind``; counts its connections."""

    def __init__(self, extra: bytes = b"", behind: bytes = b"") -> None:
        self.connections = 0
        self.gone = asyncio.Event()
        self._extra = extra
        self._behind = behind

    async def conduct(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                body = await read_question(reader)
                writer.write(answer_of(body, self._extra) + self._behind)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()


async def test_one_question_after_the_other_goes_over_one_connection() -> None:
    server = Server()
    async with raw_backend(server.conduct) as url, opened() as posts:
        for number in range(5):
            got = await ask(posts, url, b"%d" % number)
            assert got == HttpAnswer(200, b"%d" % number)
    assert server.connections == 1


async def test_questions_at_once_have_connections_of_their_own() -> None:
    server = Server()
    async with raw_backend(server.conduct) as url, opened() as posts:
        got = await asyncio.gather(*(ask(posts, url, b"%d" % number) for number in range(5)))
    assert got == [HttpAnswer(200, b"%d" % number) for number in range(5)]
    assert server.connections <= 5


async def test_more_than_may_be_under_way_is_told_at_once() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_backend(silent) as url, opened(max_connections=2) as posts:
        waiting = [asyncio.ensure_future(ask(posts, url, timeout_s=WAIT_S)) for _ in range(2)]
        await asyncio.sleep(0)
        got = await ask(posts, url)
        assert isinstance(got, HttpFailure)
        assert got.kind is Trouble.TOO_MANY
        for one in waiting:
            one.cancel()


async def test_who_fails_on_hearing_that_it_was_late_keeps_nobody_else_waiting() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    def fails(_: object) -> None:
        raise RuntimeError("on hearing it")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with raw_backend(silent) as url, opened() as posts:
        posts.post(Address(url), "", b"{}", 0.05, fails)
        got = await ask(posts, url, timeout_s=0.3)
    assert isinstance(got, HttpFailure)
    assert got.kind is Trouble.TIMEOUT
    assert [str(one["exception"]) for one in told] == ["on hearing it"]


@pytest.mark.parametrize(("extra", "behind"), [(b"Connection: close\r\n", b""), (b"", b"HTTP/1.1 200 OK\r\n")])
async def test_a_connection_that_cannot_be_used_again_is_not(extra: bytes, behind: bytes) -> None:
    server = Server(extra, behind)
    async with raw_backend(server.conduct) as url, opened() as posts:
        for number in range(3):
            assert await ask(posts, url, b"%d" % number) == HttpAnswer(200, b"%d" % number)
    assert server.connections == 3


async def test_an_answer_that_comes_late_is_nobody_elses() -> None:
    release = asyncio.Event()

    async def slow_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await read_question(reader)
            if body == b"slow":
                await release.wait()
            writer.write(answer_of(body))

    async with raw_backend(slow_first) as url, opened() as posts:
        got = await ask(posts, url, b"slow", timeout_s=0.1)
        assert isinstance(got, HttpFailure)
        assert got.kind is Trouble.TIMEOUT
        release.set()
        for number in range(3):
            assert await ask(posts, url, b"%d" % number) == HttpAnswer(200, b"%d" % number)


async def test_what_a_server_says_unasked_is_no_answer() -> None:
    said = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_question(reader)
        writer.write(answer_of(body))
        await writer.drain()
        if body == b"first":
            await asyncio.sleep(0.05)
            writer.write(answer_of(b"unasked"))
            try:
                await reader.read()
            finally:
                said.set()

    async with raw_backend(talkative) as url, opened() as posts:
        assert await ask(posts, url, b"first") == HttpAnswer(200, b"first")
        await asyncio.wait_for(said.wait(), WAIT_S)
        assert await ask(posts, url, b"second") == HttpAnswer(200, b"second")


async def test_connections_closed_while_idle_cost_no_question_however_many_they_are() -> None:
    server = Server()
    closing: list[asyncio.StreamWriter] = []

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closing.append(writer)
        await server.conduct(reader, writer)

    async with raw_backend(conduct) as url, opened() as posts:
        await asyncio.gather(*(ask(posts, url) for _ in range(5)))
        for writer in closing:
            writer.close()
        got = await asyncio.gather(*(ask(posts, url, b"%d" % number) for number in range(5)))
        assert got == [HttpAnswer(200, b"%d" % number) for number in range(5)]


async def test_half_an_answer_is_not_asked_again() -> None:
    asked = []

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_question(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()

    async with raw_backend(half) as url, opened() as posts:
        got = await ask(posts, url)
        assert got == HttpFailure("the answer broke off")
        assert len(asked) == 1


async def test_half_an_answer_and_then_silence_costs_its_time_and_its_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_question(reader)
        asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        try:
            await reader.read()
        finally:
            gone.set()

    async with raw_backend(half) as url, opened() as posts:
        await is_late(posts, url, asked, timeout_s=0.1)
        await asyncio.wait_for(gone.wait(), WAIT_S)


async def test_an_address_of_a_host_that_does_not_answer_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    with silent_address() as silent:
        async with raw_backend(server.conduct) as url, opened() as posts:
            port = Address(url).port

            async def both(*_: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", at) for at in (silent, ("127.0.0.1", port))]

            monkeypatch.setattr(module, "addresses_of", both)
            got = await ask(posts, f"http://backend.test:{port}/", b"7")
    assert got == HttpAnswer(200, b"7")


async def test_a_handshake_that_never_ends_costs_its_question_its_time() -> None:
    came, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        came.set()
        try:
            await reader.read()
        finally:
            ended.set()

    async with raw_backend(silent) as url, opened() as posts:
        await is_late(posts, url.replace("http:", "https:"), came, timeout_s=0.2)
        await asyncio.wait_for(ended.wait(), WAIT_S)


async def test_a_connection_that_is_made_too_late_for_its_question_is_kept_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, loop = Server(), asyncio.get_running_loop()

    async def withdrawn_then(found: Any, **others: Any) -> socket.socket:
        sock = await start_connection(found, **others)
        loop.call_soon(post.withdraw)
        return sock

    monkeypatch.setattr(module, "_IDLE_S", 600.0)
    monkeypatch.setattr(module, "start_connection", withdrawn_then)
    async with raw_backend(server.conduct) as url, opened() as posts:
        post = posts.post(Address(url), "", b"{}", WAIT_S, lambda answer: pytest.fail(f"told {answer}"))
        await asyncio.wait_for(server.gone.wait(), WAIT_S)
    assert server.connections == 1


async def test_an_unused_connection_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.0)
    server = Server()
    async with raw_backend(server.conduct) as url, opened() as posts:
        await ask(posts, url)
        await asyncio.wait_for(server.gone.wait(), WAIT_S)


async def test_a_question_that_is_withdrawn_is_answered_to_nobody() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_question(reader)
        asked.set()
        await reader.read()

    told: list[object] = []
    async with raw_backend(silent) as url, opened() as posts:
        post = posts.post(Address(url), "", b"{}", WAIT_S, told.append)
        await asyncio.wait_for(asked.wait(), WAIT_S)
        post.withdraw()
        post.withdraw()
        posts.post(Address(url), "", b"{}", WAIT_S, told.append)
    assert told == []


async def test_a_certificate_that_cannot_be_verified_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.combined)
    tls = await asyncio.start_server(_echo_once, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{tls.sockets[0].getsockname()[1]}/"
    async with tls:
        async with opened() as posts:
            got = await ask(posts, url)
            assert isinstance(got, HttpFailure)
            assert got.kind is Trouble.UNREACHABLE
        monkeypatch.setattr(module, "_tls_context", certificate.client_context)
        async with opened() as posts:
            assert await ask(posts, url, b"over TLS") == HttpAnswer(200, b"over TLS")


async def _echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(answer_of(await read_question(reader)))
        await writer.drain()
        await reader.read()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("url", "head"),
    [
        ("http://backend.example/a b?c=d", "POST /a%20b?c=d HTTP/1.1\r\nHost: backend.example\r\n"),
        ("http://[::1]:8080", "POST / HTTP/1.1\r\nHost: [::1]:8080\r\n"),
        ("https://b\u00fccher.example:443/x", "POST /x HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n"),
    ],
)
def test_an_address_is_written_as_http_has_it(url: str, head: str) -> None:
    assert Address(url).head.startswith(head)
