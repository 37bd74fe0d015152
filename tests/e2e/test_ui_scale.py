"""The dashboard at 1,000 rooms and 5,000 sessions: the page is never frozen, nor is the gateway by it."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import aiohttp
import pytest

from tests.client import connect_url
from tests.dashboard import dashboard
from tests.required import skip_unless_required

ROOMS, SESSIONS, AT_ONCE = 1000, 5000, 100
FROZEN_MS = 2000
"""So long nothing a person does is answered: with a busy machine's pauses, and far above what drawing takes."""

MEASURE = """(() => {
  window.longestMs = 0;
  let before = performance.now();
  setInterval(() => {
    const now = performance.now();
    window.longestMs = Math.max(window.longestMs, now - before - 20);
    before = now;
  }, 20);
})()"""


@pytest.mark.alone
async def test_a_thousand_rooms_and_five_thousand_sessions_do_not_freeze_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * SESSIONS:
        skip_unless_required(f"the limit of {hard} open files is too low for {SESSIONS} sockets")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * SESSIONS), hard))
    async with dashboard(tmp_path) as ui, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        sockets: list[aiohttp.ClientWebSocketResponse] = []

        async def connect(number: int) -> None:
            url = connect_url(ui.gateway.base, ticket=f"dev:u{number}", sid=f"s{number}")
            socket = await http.ws_connect(url)
            await socket.send_json({"v": 1, "svc": "room", "type": "join", "room": f"hall:{number % ROOMS}"})
            for _ in range(2):
                await socket.receive(timeout=30)
            sockets.append(socket)

        for first in range(0, SESSIONS, AT_ONCE):
            await asyncio.gather(*(connect(number) for number in range(first, first + AT_ONCE)))

        page = ui.page
        await ui.sign_in()
        await page.tab.run(MEASURE)
        await page.tab.until("document.querySelector('dl.figures dd')?.textContent === '5k'")
        await ui.look_at("Rooms")
        for first in range(100, ROOMS, 100):
            await page.find("link", f"hall:{first - 1}")
            await page.click("button", "Next")
        await page.find("link", f"hall:{ROOMS - 1}")
        await ui.look_at("Sessions")
        await page.row("s99")
        for first in (100, 200):
            await page.click("button", "Next")
            await page.row(f"s{first + 99}")
        for words, sid in (("user:u4999", "s4999"), ("s4321", "s4321"), ("hall:7", "s4007")):
            await page.fill("Search", words, role="searchbox")
            await page.press("Enter")
            await page.row(sid)
        await page.click("link", "hall:7")
        await page.shows("5 users with 5 sessions")
        assert await page.tab.run("window.longestMs") < FROZEN_MS
        async with http.get(f"{ui.gateway.base}/healthz") as answer:
            assert answer.status == 200
        await asyncio.gather(*(socket.close() for socket in sockets))
