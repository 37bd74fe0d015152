"""After the upgrade the socket is the gateway's own: aiohttp's part is let go, and there is a way on if that fails."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.faults.test_slow_reader import flood, slow_client
from wsprism.transport.websocket import takeover
from wsprism.transport.websocket.takeover import can_detach

pytestmark = pytest.mark.both_loops


async def test_aiohttp_still_has_what_the_takeover_uses() -> None:
    seen: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(can_detach(request.protocol, request.transport))
        return web.Response()

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: bool(seen))
    writer.close()
    await runner.cleanup()
    assert seen == [True], "aiohttp has changed: every connection now takes the dearer way"


async def test_aiohttps_handler_of_an_upgraded_connection_is_let_go(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base):
        await until(lambda: gateway.process.http_connections() == 0)
        assert gateway.process.connections() == 1


async def test_without_the_takeover_everything_works_as_before(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "can_detach", lambda *_: False)
    gateway = await start_gateway(gateway={"writer_send_timeout_ms": 200}, acme={"limits": {"max_frame_bytes": 65536}})
    tenant = next(iter(gateway.process.tenants()))
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        assert gateway.process.http_connections() == 2
        await ann.join("r")
        await bob.join("r")
        await ann.send("chat", "send", {"msg": "hi"})
        assert await ann.receive() == await bob.receive()
    await until(lambda: gateway.process.connections() == 0)
    slow = await slow_client(gateway.process.address.port)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await flood(ann, 60)
        await until(lambda: tenant.counters.closed[4000] == 1)
    slow.abort()
