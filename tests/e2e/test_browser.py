"""A real browser: a page of an allowed origin connects, the same page of another origin does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.browser import chromium
from tests.conftest import StartGateway

PAGE = """<script>
const socket = new WebSocket('ws://127.0.0.1:%d/v1/ws?tenant=acme&ticket=dev');
let said = (what) => { said = () => {}; fetch('/report?' + what); };
const report = (what) => said(what);  // the first that happens: of two requests the second may arrive first
socket.onmessage = (event) => report(JSON.parse(event.data).type);
socket.onclose = (event) => report('closed ' + event.code);
</script>"""
TIMEOUT_S = 60.0


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "authed"), ("localhost", "error")])
async def test_only_a_page_of_an_allowed_origin_may_connect(
    start_gateway: StartGateway, tmp_path: Path, host: str, expected: str
) -> None:
    reported: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    page = ""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/report" and not reported.done():
            reported.set_result(request.query_string)
        return web.Response(text=page, content_type="text/html")

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    gateway = await start_gateway(acme={"allowed_origins": [f"http://127.0.0.1:{port}"]})
    page = PAGE % gateway.port
    try:
        async with chromium(tmp_path / "profile", f"http://{host}:{port}/"), asyncio.timeout(TIMEOUT_S):
            assert await reported == expected
    finally:
        await runner.cleanup()
    refused = gateway.process.counters.handshakes_refused["origin"]
    assert bool(refused) == (expected == "error")
