"""The pictures of docs/ui.md, taken of the running page.

``WSPRISM_SCREENSHOTS=60`` writes them into docs/ui/ after so many seconds of traffic; else they are only taken.
"""

from __future__ import annotations

import asyncio
import math
import os
import struct
from pathlib import Path

from tests.client import Client
from tests.dashboard import Dashboard, config, dashboard
from tests.process import GatewayCommand
from tests.redis_server import running_redis

PICTURES = Path(__file__).parents[2] / "docs" / "ui"
PAGE = (PICTURES.parent / "ui.md").read_text()
TRAFFIC_S = float(os.environ.get("WSPRISM_SCREENSHOTS", "0"))
MOST_BYTES = 100_000
WIDTH, PHONE, SCALE = 960, 400, 0.8


async def talk(clients: list[Client], names: list[str]) -> None:
    """As a few people do, ever more of them."""
    for tick in range(int(TRAFFIC_S * 5) + 5):
        for number, (client, name) in enumerate(zip(clients, names, strict=True)):
            if math.sin(tick / 25 + number) > 0:
                await client.send("chat", "send", {"msg": f"move {tick}"}, room="match:1")
            await client.ws.send_bytes(bytes([1, 7, 0, number, tick % 256]) + name.encode())
        await asyncio.sleep(0.2)


async def drink(client: Client) -> None:
    while not client.ws.closed:
        await client.ws.receive()


async def take(ui: Dashboard, name: str, height: int, *, width: int = WIDTH, dark: bool = False) -> None:
    await ui.page.resize(width, height, dark=dark)
    await asyncio.sleep(0.2)
    await ui.page.tab.call("Emulation.setScrollbarsHidden", hidden=True)
    picture = await ui.page.screenshot(width, height, SCALE)
    assert struct.unpack(">II", picture[16:24]) == (width * SCALE, height * SCALE)
    assert f"ui/{name}.png" in PAGE
    if TRAFFIC_S:
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(picture)
    assert (PICTURES / f"{name}.png").stat().st_size < MOST_BYTES, name


async def test_every_view_has_its_picture(tmp_path: Path) -> None:
    people = ["ann", "bob", "carla", "dimitri", "eda"]
    async with dashboard(tmp_path) as ui:
        await take(ui, "sign-in", 420)
        clients = [Client(ui.gateway.base, ticket=f"dev:{name}", sid=f"phone-{name}") for name in people]
        for client in clients:
            await client.__aenter__()
            await client.join("match:1")
            await client.join(f"team:{'red' if client in clients[::2] else 'blue'}")
        drinking = [asyncio.create_task(drink(client)) for client in clients]
        await ui.sign_in()
        await talk(clients, people)
        page = ui.page
        await page.tab.until("document.querySelector('dl.figures dd')?.textContent === '5'")
        await take(ui, "overview", 620)
        await take(ui, "overview-dark", 620, dark=True)
        await take(ui, "overview-phone", 800, width=PHONE, dark=True)
        await page.resize(WIDTH)
        await ui.look_at("Tenants")
        await page.find("link", "zoo")
        await take(ui, "tenants", 260)
        await ui.look_at("Rooms")
        await page.find("link", "match:1")
        await take(ui, "rooms", 340)
        await ui.look_at("Sessions")
        await page.row("phone-eda")
        await take(ui, "sessions", 560)
        await page.click_in_row("Revoke", "phone-eda")
        await page.find("dialog")
        await take(ui, "question", 560)
        await page.confirm("Cancel")
        await take(ui, "sessions-phone", 800, width=PHONE)
        await page.resize(WIDTH, 900)
        await ui.open_room("match:1")
        await page.row("phone-eda")
        await page.fill("Data", '{"msg": "the match begins"}')
        await page.click("button", "Publish")
        await page.confirm()
        await page.fill("Frame", "01 07 00 u16 500 f32 1.5")
        await page.click("button", "Publish frame")
        await page.confirm()
        await page.tab.until("document.querySelectorAll('ol.log li').length > 1")
        await take(ui, "room", 900)
        await take(ui, "room-dark", 900, dark=True)
        await take(ui, "room-phone", 800, width=PHONE)
        await page.resize(WIDTH, 1000)
        await ui.look_at("Playground")
        for at, name in enumerate(("ann", "bob")):
            await page.click("button", "Add client")
            region = await page.find("region", at=at)
            await page.fill("Ticket", f"dev:{name}", region)
            for button in ("Connect", "Join", "Send"):
                await page.click("button", button, region)
                await asyncio.sleep(0.3)
            await page.fill("Frame", "01 07 00 u16 500", region)
            await page.click("button", "Send frame", region)
        await page.tab.run("scrollTo(0, 0)")
        await take(ui, "playground", 880)
        await take(ui, "playground-dark", 880, dark=True)
        for task in drinking:
            task.cancel()
        for one in clients:
            await one.close()


async def test_nodes_side_by_side_have_their_picture(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with running_redis() as redis:
        broker = {"url": redis.url}
        settings = config(other, broker=broker, node={"name": "eu-2"})
        async with (
            GatewayCommand(settings, other) as second,
            dashboard(tmp_path, broker=broker, node={"name": "eu-1"}) as ui,
            Client(ui.gateway.base, ticket="dev:ann"),
            Client(second.base, ticket="dev:bob"),
        ):
            await ui.sign_in()
            await ui.page.shows("2 nodes, 2 connections")
            for name, width, height in (("nodes", WIDTH, 400), ("nodes-phone", PHONE, 620)):
                await ui.page.resize(width, height)
                await ui.page.tab.run("document.querySelector('.nodes').scrollIntoView()")
                await take(ui, name, height, width=width)
