"""Refusals that a browser can read: told behind the upgrade, with a close code that says whether to come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec
import pytest
from aiohttp import web

from tests.backends import SECRET, backend
from tests.browser import chromium, firefox
from tests.client import Client, connect_url
from tests.conftest import Running, StartGateway
from wsprism.transport.websocket import farewell

ORIGIN = {"Origin": "https://game.example"}


async def refusal(
    gateway: Running, query: str, headers: dict[str, str] | None = None, protocols: tuple[str, ...] = ()
) -> tuple[dict[str, Any], int | None, str | None]:
    """What is told behind the upgrade: the error, the close code, the chosen subprotocol."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(gateway.base + "/v1/ws?" + query, headers=headers or ORIGIN, protocols=protocols) as ws,
    ):
        frame = await ws.receive(timeout=30)
        is_text = frame.type is aiohttp.WSMsgType.TEXT
        error = json.loads(frame.data) if is_text else msgspec.msgpack.decode(frame.data)
        end = await ws.receive(timeout=30)
        assert end.type is aiohttp.WSMsgType.CLOSE
        assert (error["svc"], error["type"]) == ("sys", "error")
        return error["data"], end.data, ws.protocol


async def status(gateway: Running, query: str, headers: dict[str, str] | None = None) -> int:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(gateway.base + "/v1/ws?" + query, headers=headers or {})
        return refused.value.status


@pytest.mark.parametrize(
    ("query", "code", "close"),
    [
        ("tenant=acme&ticket=wrong", "AUTH_FAILED", 4502),
        ("tenant=acme", "AUTH_FAILED", 4502),
        ("tenant=nobody&ticket=dev", "BAD_REQUEST", 4505),
        ("ticket=dev", "BAD_REQUEST", 4505),
    ],
)
async def test_what_the_client_can_act_on_is_told(
    start_gateway: StartGateway, query: str, code: str, close: int
) -> None:
    gateway = await start_gateway()
    data, closed, _ = await refusal(gateway, query)
    assert (data["code"], closed) == (code, close)
    assert (await refusal(gateway, query + "&explain=1", {"X": "y"}))[1] == close
    assert await status(gateway, query) in (400, 401)
    assert gateway.process.connections() == 0
    assert gateway.process.counters.handshakes_refused.total() == 3
    assert gateway.process.counters.handshakes_accepted == 0


async def test_an_origin_that_is_not_allowed_an_expired_ticket_and_a_full_tenant(start_gateway: StartGateway) -> None:
    auth = [{"kind": "dev"}, {"kind": "jwt", "algorithms": ["HS256"], "secret": "x" * 40}]
    gateway = await start_gateway(
        acme={"auth": auth, "allowed_origins": ["https://game.example"], "limits": {"max_sessions_total": 1}}
    )
    data, closed, _ = await refusal(gateway, "tenant=acme&ticket=dev", {"Origin": "https://evil.example"})
    assert (data["code"], closed) == ("NOT_ALLOWED", 4505)
    expired = jwt.encode({"sub": "ann", "exp": 1}, "x" * 40, "HS256")
    data, closed, _ = await refusal(gateway, f"tenant=acme&ticket={expired}")
    assert (data["code"], closed) == ("AUTH_FAILED", 4003)
    async with Client(gateway.base):
        data, closed, _ = await refusal(gateway, "tenant=acme&ticket=dev:bob")
        assert (data["code"], closed) == ("RESOURCE_EXHAUSTED", 4004)
        assert data["retry_after_ms"] == 5000


async def test_a_backend_that_says_no_or_nothing(start_gateway: StartGateway) -> None:
    async with backend() as there:

        async def no(_: dict[str, Any]) -> Any:
            return {"allow": False, "msg": "not today"}

        there.answer = no
        gateway = await start_gateway(acme={"backend": {"url": there.url, "secret": SECRET, "ask": ["connect"]}})
        data, closed, _ = await refusal(gateway, "tenant=acme&ticket=dev")
        assert (data["msg"], closed) == ("not today", 4505)
    data, closed, _ = await refusal(gateway, "tenant=acme&ticket=dev")
    assert (data["code"], closed) == ("UNAVAILABLE", 4004)
    assert data["retry_after_ms"] >= 1000


async def test_an_offered_subprotocol_is_chosen_and_spoken(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    offered = ("ticket.d3Jvbmc", "wsprism.v1.msgpack")
    assert (await refusal(gateway, "tenant=acme", protocols=offered))[1:] == (4502, "wsprism.v1.msgpack")
    assert (await refusal(gateway, "tenant=acme", protocols=("ticket.d3Jvbmc",)))[1:] == (4502, "ticket.d3Jvbmc")


async def test_what_protects_the_gateway_stays_http(start_gateway: StartGateway) -> None:
    limit = {"enabled": True, "global_rps": 0.001, "global_burst": 1, "per_ip_rps": 0.001, "per_ip_burst": 1}
    gateway = await start_gateway(gateway={"handshake_limit": limit})
    async with Client(gateway.base):
        assert await status(gateway, "tenant=acme&ticket=dev", ORIGIN) == 429
    gateway.process.begin_drain()
    assert await status(gateway, "tenant=acme&ticket=dev", ORIGIN) == 503


@pytest.mark.parametrize(("mode", "told"), [("always", True), ("never", False)])
async def test_the_operator_may_want_it_always_or_never(start_gateway: StartGateway, mode: str, told: bool) -> None:
    gateway = await start_gateway(gateway={"explain_refusals": mode})
    if told:
        assert (await refusal(gateway, "tenant=acme&ticket=x", {"X": "y"}))[1] == 4502
    else:
        assert await status(gateway, "tenant=acme&ticket=x&explain=1", ORIGIN) == 401


HANDSHAKE = (
    b"GET /v1/ws?tenant=acme&ticket=wrong HTTP/1.1\r\nHost: x\r\nOrigin: https://x.example\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

PAGE = """<script>
const socket = new WebSocket('%s', ['wsprism.v1']);
const seen = [];
socket.onmessage = (event) => seen.push(JSON.parse(event.data).data.code);
socket.onclose = (event) => fetch('/report?' + seen.join() + '-' + event.code);
</script>"""


async def test_a_refused_socket_stays_until_its_peer_says_goodbye(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "FAREWELL_S", 600.0)
    gateway = await start_gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(HANDSHAKE)
    told = await reader.readuntil(b"ticket")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read()
    writer.write(b"\x88\x80\x00\x00\x00\x00")
    async with asyncio.timeout(30):
        await reader.read()
    assert b"101 Switching" in told
    writer.close()


async def test_a_refused_socket_that_says_nothing_ends_in_time(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(HANDSHAKE)
    async with asyncio.timeout(farewell.FAREWELL_S + 30):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


async def test_of_more_refused_sockets_than_may_wait_the_oldest_goes(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "MOST_FAREWELLS", 2)
    monkeypatch.setattr(farewell, "FAREWELL_S", 600.0)
    gateway = await start_gateway()
    peers = []
    for _ in range(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"ticket")
        peers.append((reader, writer))
    for reader, _ in peers[:2]:
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(30):
                await reader.read()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await peers[3][0].read()
    for _, writer in peers:
        writer.close()


@pytest.mark.parametrize("browser", [chromium, firefox])
async def test_a_page_in_a_browser_sees_the_code(
    start_gateway: StartGateway, tmp_path: Path, browser: Callable[[Path, str], AbstractAsyncContextManager[None]]
) -> None:
    gateway = await start_gateway()
    page = PAGE % connect_url(gateway.base.replace("http", "ws"), ticket="wrong")
    reported: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/report" and not reported.done():
            reported.set_result(request.query_string)
        return web.Response(text=page, content_type="text/html")

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        profile = tmp_path / "profile"
        profile.mkdir()
        async with browser(profile, url), asyncio.timeout(120):
            assert await reported == "AUTH_FAILED-4502"
    finally:
        await runner.cleanup()
