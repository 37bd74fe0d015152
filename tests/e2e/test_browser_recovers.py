"""A page in a real browser loses its network in a busy room: it shows every message once, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from load.proxy import Proxy
from tests.browser import Tab, browser
from tests.client import Client
from tests.process import GatewayCommand
from tests.sdk.packages import built_js

ROOM = "chat:1"
AWAY_S = 5.0
INTERVAL_S = 0.02
CONFIG = """
version: 1
gateway: {listen: 127.0.0.1:0}
tenants:
- id: acme
  auth: {kind: dev}
  policy: {ext_allowlist: ["room:*", "chat:*"], rate_limit_rps: 1000}
  services: {ext: {chat: chat}}
  rooms: [{match: "chat:*", history: {max_messages: 2000, recover_max_messages: 2000}}]
"""
PAGE = """<ol></ol><p></p>
<script type="module">
  import { Client } from "./dist/index.js";

  const client = new Client("ws://127.0.0.1:%d", { tenant: "acme", ticket: "dev:ann" });
  const room = client.room("chat:1");
  const note = (text) => (document.querySelector("p").textContent += text + " ");
  room.on("message", ({ data }) => {
    document.querySelector("ol").append(Object.assign(document.createElement("li"), { textContent: data.msg }));
  });
  room.on("lost", () => note("lost"));
  room.on("recovered", ({ count }) => note("recovered " + (count > 0)));
  await room.joined();
  note("joined");
</script>"""


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """The page's way to a gateway."""
    async with GatewayCommand(CONFIG, tmp_path) as gateway, Proxy(gateway.port) as started:
        yield started


@contextlib.asynccontextmanager
async def page(directory: Path, port: int) -> AsyncIterator[Tab]:
    """A page of its own server, as an application has one."""
    package = built_js()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            return web.Response(text=PAGE % port, content_type="text/html")
        file = package / request.path.lstrip("/")
        if not file.is_file():
            return web.Response(status=404)
        return web.Response(text=file.read_text(), content_type="text/javascript")

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with browser(directory) as chromium:
            yield await chromium.open(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()


async def publish(client: Client, said: list[str]) -> None:
    """A busy room: 50 messages a second until cancelled."""
    while True:
        said.append(str(len(said) + 1))
        await client.send("chat", "send", {"msg": said[-1]}, room=ROOM)
        await asyncio.sleep(INTERVAL_S)


@pytest.mark.parametrize("silently", [False, True], ids=["refused", "black-hole"])
async def test_a_page_without_network_for_5_s_shows_every_message_once_and_in_order(
    proxy: Proxy, tmp_path: Path, silently: bool
) -> None:
    said: list[str] = []
    async with (
        page(tmp_path, proxy.port) as tab,
        Client(f"http://127.0.0.1:{proxy.to_port}", ticket="dev:bob") as bob,
    ):
        await tab.until_shown("joined")
        await bob.join(ROOM)
        busy = asyncio.create_task(publish(bob, said))
        heard = asyncio.create_task(read_all(bob))
        await tab.until("document.querySelectorAll('li').length > 25")
        if silently:
            proxy.stall()
            await asyncio.sleep(AWAY_S)
            proxy.cut()
            proxy.flow()
        else:
            proxy.refuse()
            proxy.cut()
            await asyncio.sleep(AWAY_S)
            proxy.refuse(False)
        before = len(said)
        await tab.until_shown("recovered true")
        await tab.until(f"document.querySelectorAll('li').length > {before + 25}")
        busy.cancel()
        await tab.until(f"document.querySelector('ol').lastChild.textContent === '{said[-1]}'")
        heard.cancel()
        shown = await tab.run("[...document.querySelectorAll('li')].map((item) => item.textContent)")
        assert shown == said
        assert (await tab.run("document.querySelector('p').textContent")).split() == ["joined", "recovered", "true"]
    assert len(said) > AWAY_S / INTERVAL_S / 5


async def read_all(client: Client) -> None:
    """Whoever publishes hears it too, and must not become a slow reader."""
    while True:
        await client.receive_frame()
