"""The dashboard with names and messages that somebody chose to harm it, on a narrow screen, and by keyboard alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client import Client
from tests.dashboard import ADMIN, Dashboard, dashboard

SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
BACKWARDS = "\u202egnorts\u202c \u05d0\u05d1\u05d2"
LONG = "W" * 128
NAMES = [SCRIPT, IMAGE, BACKWARDS, LONG, "a/b?c#d%2e&e", "match:\U0001f984", "..", "'\"`${1}"]
PHONE = 375


async def overflow(ui: Dashboard) -> int:
    """How many pixels the page is wider than its window."""
    return int(await ui.page.tab.run("document.documentElement.scrollWidth - innerWidth"))


async def test_hostile_names_and_messages_are_text(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base, sid="phone") as ann:
        for name in NAMES:
            assert (await ann.join(name))["type"] == "joined"
        await ui.sign_in()
        page = ui.page
        for name in NAMES:
            await ui.look_at("Rooms")
            await page.click("link", name)
            await page.find("heading", name)
            if name == "..":
                assert "browser" in await page.alert()
                continue
            await page.shows("listening")
            await page.row("phone")
            await ann.send("chat", "send", {"msg": IMAGE}, room=name)
            await page.tab.until(f"document.querySelector('ol.log').innerText.includes({json.dumps(IMAGE)[1:-1]!r})")
            await ann.receive()
        await ui.look_at("Sessions")
        await page.row("phone")
        assert "owned" not in await page.tab.run("document.title")
        assert await page.tab.run("document.querySelectorAll('main img, main script').length") == 0


@pytest.mark.parametrize("dark", [False, True])
async def test_every_view_fits_a_phone(tmp_path: Path, dark: bool) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base, sid="s" * 64) as ann:
        for name in ("match:1", LONG):
            await ann.join(name)
        await ann.send("chat", "send", {"msg": "W" * 500}, room="match:1")
        await ui.page.resize(PHONE, 700, dark=dark)
        assert await overflow(ui) <= 0
        await ui.sign_in()
        for view in ("Overview", "Tenants", "Rooms", "Sessions", "Playground"):
            await ui.look_at(view)
            await ui.page.find("link", "Overview")
            assert await overflow(ui) <= 0, view
        await ui.page.click("button", "Add client")
        client = await ui.page.find("region")
        await ui.page.click("button", "Connect", client)
        await ui.page.shows("authed")
        assert await overflow(ui) <= 0
        for room in ("match:1", LONG):
            await ui.open_room(room)
            await ui.page.row("s" * 64)
            assert await overflow(ui) <= 0, room
        await ui.page.click("button", "Remove from room")
        assert await overflow(ui) <= 0
        await ui.page.confirm("Cancel")


async def test_everything_is_reached_with_the_keyboard(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base, sid="phone") as ann:
        await ann.join("match:1")
        page = ui.page

        async def tab_to(name: str) -> None:
            for _ in range(60):
                if await page.focused() == name:
                    return
                await page.press("Tab")
            raise AssertionError(f"the tab key never comes to {name!r}, but to {await page.focused()!r}")

        assert await page.focused() == "API key"
        await page.tab.call("Input.insertText", text=ADMIN)
        await page.press("Enter")
        await page.find("heading", "Overview")
        await tab_to("Rooms")
        await page.press("Enter")
        await page.find("link", "match:1")
        assert await page.focused() == "Rooms"
        await tab_to("match:1")
        await page.press("Enter")
        await page.row("phone")
        await tab_to("Data")
        await page.tab.call("Input.insertText", text="[1]")
        await tab_to("Publish")
        await page.press("Enter")
        await page.find("dialog")
        await page.press("Escape")
        await page.gone("dialog")
        assert await page.focused() == "Publish"
        await page.press("Enter")
        await page.find("dialog")
        await tab_to("Confirm")
        await page.press("Enter")
        assert (await ann.receive())["data"] == [1]
        await tab_to("Remove from room")
        await page.press(" ")
        await page.find("dialog")
        assert await page.focused() == "Cancel"
        await tab_to("Confirm")
        await page.press("Enter")
        assert (await ann.receive())["type"] == "left"
