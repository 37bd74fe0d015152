"""The client that asks key servers and backends, against real servers that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.certificates import make_certificate
from tests.components import refusing_port
from wsprism.adapters import http
from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure, Trouble

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(timeout_s=60.0, max_bytes=1000)
    yield client
    await client.close()


@pytest.fixture
async def hasty() -> AsyncIterator[HttpClient]:
    """For what is never answered."""
    client = HttpClient(timeout_s=0.5, max_bytes=1000)
    yield client
    await client.close()


async def answer_of(client: HttpClient, handler: Handler) -> HttpAnswer | HttpFailure:
    app = web.Application()
    app.router.add_route("*", "/", handler)
    async with TestServer(app) as server:
        return await client.get(str(server.make_url("/")))


async def test_an_answer_comes_with_its_status_and_at_most_the_bytes_allowed(client: HttpClient) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(status=418, body=b"x" * 1000)

    assert await answer_of(client, handler) == HttpAnswer(418, b"x" * 1000)


async def test_an_answer_without_end_is_not_read_to_it(client: HttpClient) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1000)
        return response

    assert await answer_of(client, handler) == HttpFailure("the answer is too large")


async def test_a_slow_answer_and_one_that_trickles_end_in_time(hasty: HttpClient) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    for handler in (slow, trickling):
        async with asyncio.timeout(25):
            assert await answer_of(hasty, handler) == HttpFailure("no answer in time", Trouble.TIMEOUT)


async def test_questions_that_could_only_wait_for_each_other_are_not_asked(
    hasty: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_UNDER_WAY", 2)

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    answers = await asyncio.gather(*(answer_of(hasty, slow) for _ in range(5)))
    assert answers.count(HttpFailure("no answer in time", Trouble.TIMEOUT)) == 2
    assert answers.count(HttpFailure("too many questions at once", Trouble.TOO_MANY)) == 3
    assert await hasty.get("http://127.0.0.1:1/") == HttpFailure("ClientConnectorError", Trouble.UNREACHABLE)


async def test_a_redirect_is_an_answer_and_is_not_followed(client: HttpClient) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    answer = await answer_of(client, handler)
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, asked) == (302, ["/"])


async def test_a_compressed_answer_is_not_unpacked(client: HttpClient) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"0" * 10_000), headers={"Content-Encoding": "gzip"})

    assert await answer_of(client, handler) == HttpFailure("the answer is compressed")


async def test_a_server_that_cannot_prove_who_it_is_is_not_asked(client: HttpClient, tmp_path: Path) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.combined)
    app = web.Application()
    app.router.add_post("/", handler)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    answer = await client.post(str(server.make_url("/")), b"{}", {})
    await server.close()
    assert (answer, asked) == (HttpFailure("ClientConnectorCertificateError", Trouble.UNREACHABLE), [])


async def test_nobody_there_is_a_failure(client: HttpClient) -> None:
    with refusing_port() as port:
        answer = await client.get(f"http://127.0.0.1:{port}/")
    assert answer == HttpFailure("ClientConnectorError", Trouble.UNREACHABLE)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_what_is_no_http_is_a_failure(client: HttpClient, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await client.get(f"http://127.0.0.1:{port}/"), HttpFailure)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_held_against_a_question(
    client: HttpClient,
) -> None:
    """A server that ends idle connections does it at the moment at which the next question is on its way."""
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(2):
            assert await client.post(url, b"{}", {}) == HttpAnswer(200, b"ok")
        assert len(connections) == 2
        await client.close()
