"""The dashboard in a real browser, by a person's clicks: every action of docs/ui.md, and what each kind of key sees."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.api import Backend
from tests.client import Client
from tests.dashboard import ADMIN, LOOKS, SCOPED, Dashboard, dashboard
from tests.page import Page
from tests.process import GatewayCommand

FIGURES = ["Connections", "Messages in", "Deliveries out", "Drops", "Refusals", "Loop lag", "Memory", "CPU"]
OF_WRITERS = ["Publish", "Publish frame", "Remove from room", "Disconnect", "Revoke", "Mint ticket"]
OF_OPERATORS = ["Reload", "Drain"]


async def buttons(page: Page) -> set[str]:
    found = await page.tab.run("[...document.querySelectorAll('button')].map((one) => one.textContent).join('\\n')")
    return set(str(found).split("\n"))


async def test_a_wrong_key_is_told_and_a_good_one_is_remembered_as_long_as_the_tab(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        page = ui.page
        await page.fill("API key", "k-wrong")
        await page.click("button", "Sign in")
        assert "not a good key" in await page.alert()
        await ui.sign_in()
        assert await page.tab.run("sessionStorage.length + localStorage.length") == 0
        await page.go("about:blank")
        await page.go(ui.url)
        await page.fill("API key", ADMIN)
        await page.click("checkbox", "Remember")
        await page.click("button", "Sign in")
        await page.find("heading", "Overview")
        await page.go("about:blank")
        await page.go(ui.url)
        await page.find("heading", "Overview")
        assert await page.tab.run("localStorage.length") == 0
        await page.click("button", "Sign out")
        await page.find("textbox", "API key")
        assert await page.tab.run("sessionStorage.length") == 0


async def test_the_overview_has_every_figure_and_the_state_of_each_backend(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base):
        await ui.sign_in()
        await ui.page.tab.until("document.querySelector('dl.figures dd')?.textContent === '1'")
        names = await ui.page.tab.run(
            "[...document.querySelectorAll('.figure')].map((one) => one.querySelector('dt').textContent).join()"
        )
        assert names == ",".join(FIGURES)
        text = await ui.page.text()
        assert "Configuration hash" in text
        assert "Draining\nno" in text.replace("\t", "\n")
        await ui.page.row("zoo")


async def test_a_room_shows_who_is_there_and_what_is_said_and_takes_messages(tmp_path: Path) -> None:
    async with (
        dashboard(tmp_path) as ui,
        Client(ui.gateway.base, ticket="dev:ann", sid="phone") as ann,
        Client(ui.gateway.base, ticket="dev:bob", sid="web") as bob,
    ):
        await ann.join("match:1")
        await bob.join("match:1")
        await ann.send("chat", "send", {"msg": "before"}, room="match:1")
        await ui.sign_in()
        page = ui.page
        await ui.look_at("Tenants")
        await page.click("link", "acme")
        await page.click("link", "match:1")
        for heading in ("Members", "Presence", "History", "Live"):
            await page.find("heading", heading)
        await page.shows("listening")
        await page.shows('"msg":"before"')
        await ann.receive()
        await bob.receive()

        await ann.send("chat", "send", {"msg": "while it looks"}, room="match:1")
        await page.tab.until("document.querySelector('ol.log').innerText.includes('while it looks')")
        await ann.receive()

        await page.fill("Service", "news")
        await page.fill("Type", "item")
        await page.fill("Data", '{"n": 1}')
        await page.click("button", "Publish")
        await page.confirm("Cancel")
        await page.click("button", "Publish")
        await page.confirm()
        told = await ann.receive()
        assert (told["svc"], told["type"], told["data"], told["offset"]) == ("news", "item", {"n": 1}, 3)
        await page.shows("Published to 2 sessions, offset 3.")
        await page.tab.until("document.querySelector('ol.log').innerText.includes('news.item')")

        await page.fill("Data", "{nonsense")
        await page.click("button", "Publish")
        assert "not JSON" in await page.alert()

        await page.fill("Frame", "01 07 00 u8 7 u16 500 f32 1.5")
        await page.click("button", "Publish frame")
        await page.confirm()
        assert await ann.receive_hot() == bytes.fromhex("010700 07 f401 0000c03f")
        await page.fill("Frame", "0g")
        await page.click("button", "Publish frame")
        assert "hex" in await page.alert()

        await page.click_in_row("Remove from room", "phone")
        await page.confirm()
        assert (await ann.receive())["type"] == "left"
        await page.shows("1 users with 1 sessions")


async def test_sessions_are_found_ended_and_kept_out(tmp_path: Path) -> None:
    base: str
    async with dashboard(tmp_path) as ui:
        base = ui.gateway.base
        async with (
            Client(base, ticket="dev:ann", sid="phone") as ann,
            Client(base, ticket="dev:ann", sid="web") as web,
            Client(base, ticket="dev:bob", sid="web") as bob,
        ):
            await bob.join("match:1")
            await ui.sign_in()
            await ui.look_at("Sessions")
            page = ui.page
            for words, found in (("user:ann", 2), ("web", 2), ("match:1", 1), ("nobody's", 0)):
                await page.fill("Search", words, role="searchbox")
                await page.press("Enter")
                await page.tab.until(f"document.querySelector('.pager').textContent.startsWith('{found} sessions')")
            await page.fill("Search", "user:ann", role="searchbox")
            await page.press("Enter")
            await page.tab.until("document.querySelector('.pager').textContent.startsWith('2 sessions')")

            await page.click_in_row("Disconnect", "phone")
            await page.confirm("Cancel")
            await page.click_in_row("Disconnect", "phone")
            await page.confirm()
            assert (await ann.receive())["type"] == "kicked"
            await page.tab.until("document.querySelector('.pager').textContent.startsWith('1 sessions')")

            await page.click_in_row("Revoke", "web")
            await page.confirm()
            assert (await web.expect_close())[0] == 4502
            await page.shows("There are no sessions.")
            async with (
                Client(base, ticket="dev:carl"),
                aiohttp.ClientSession() as http,
                http.get(f"{base}/v1/ws?tenant=acme&ticket=dev:ann") as refused,
            ):
                assert refused.status in (400, 401, 426)


async def test_a_minted_ticket_is_shown_and_lets_in(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        await ui.look_at("Sessions")
        await ui.page.fill("User", "user:dora")
        await ui.page.click("button", "Mint ticket")
        await ui.page.confirm()
        await ui.page.tab.until("document.querySelector('.ticket') !== null")
        ticket = await ui.page.tab.run("document.querySelector('.ticket').textContent")
        assert ticket in await ui.page.text()
        async with Client(ui.gateway.base, ticket=ticket) as dora:
            assert dora.authed["data"]["user"] == "user:dora"


async def test_lists_go_page_by_page(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base) as ann:
        for number in range(101):
            await ann.join(f"hall:{number}")
        await ui.sign_in()
        await ui.look_at("Rooms")
        await ui.page.find("link", "hall:99")
        assert await ui.page.all("link", "hall:100") == []
        await ui.page.click("button", "Next")
        await ui.page.find("link", "hall:100")
        await ui.page.tab.run("history.back()")
        await ui.page.find("link", "hall:99")
        await ui.page.fill("Search", "hall:50", role="searchbox")
        await ui.page.press("Enter")
        await ui.page.tab.until("document.querySelector('.pager').textContent.startsWith('1 rooms')")
        await ui.page.fill("Search", "empty", role="searchbox")
        await ui.page.press("Enter")
        await ui.page.click("link", "empty")
        await ui.page.shows("Nobody is in it.")


async def test_a_reload_says_what_changed_and_a_fault_is_told(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        page, file = ui.page, ui.gateway.path
        text = file.read_text()
        file.write_text(text.replace("max_rooms_total: 2000", "max_rooms_total: 1999"))
        await page.click("button", "Reload")
        await page.confirm()
        await page.shows("The configuration was applied.")
        await page.shows("max_rooms_total")
        file.write_text(text.replace("max_rooms_total: 2000", "max_rooms_total: -1"))
        await page.click("button", "Reload")
        await page.confirm()
        assert "max_rooms_total" in await page.alert()


async def test_the_log_level_is_set_once_it_is_confirmed(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Backend(ui.gateway.internal_base, ADMIN) as api:
        await ui.sign_in()
        page = ui.page
        choice = await page.find("combobox", "Log level")
        await page.tab.until("document.querySelector('.level select').value === 'info'")
        for answer, level in (("Cancel", "info"), ("Confirm", "debug")):
            await page.tab.call("DOM.focus", backendNodeId=choice)
            await page.press("d")
            await page.confirm(answer)
            await page.tab.until(f"document.querySelector('.level select').value === '{level}'")
            async with asyncio.timeout(60):
                while (await api.get("/v1/log-level")).json["level"] != level:  # noqa: ASYNC110 (the page asks for it)
                    await asyncio.sleep(0.05)


async def test_a_drain_is_confirmed_shown_and_ends_the_gateway(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base) as ann:
        await ui.sign_in()
        await ui.page.click("button", "Drain")
        await ui.page.confirm()
        assert (await ann.receive())["type"] == "draining"
        await ann.close()
        assert await ui.gateway.wait(60) == 0
        await ui.page.shows("The gateway does not answer.")


async def every_button(ui: Dashboard) -> set[str]:
    """In every view."""
    found = await buttons(ui.page)
    await ui.look_at("Sessions")
    await ui.page.row("phone")
    found |= await buttons(ui.page)
    await ui.open_room("match:1")
    await ui.page.row("phone")
    return found | await buttons(ui.page)


async def test_each_key_sees_the_buttons_that_it_may_use(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base, sid="phone") as ann:
        await ann.join("match:1")
        for key, seen, hidden in (
            (ADMIN, OF_WRITERS + OF_OPERATORS, []),
            (LOOKS, [], OF_WRITERS + OF_OPERATORS),
            (SCOPED, OF_WRITERS, OF_OPERATORS),
        ):
            await ui.page.go("about:blank")
            await ui.page.go(ui.url)
            await ui.sign_in(key)
            found = await every_button(ui)
            assert set(seen) <= found, key
            assert not found & set(hidden), key
            assert bool(await ui.page.all("combobox", "Log level")) == (key == ADMIN)
            await ui.look_at("Tenants")
            await ui.page.find("link", "acme")
            assert bool(await ui.page.all("link", "zoo")) == (key != SCOPED)
            await ui.look_at("Overview")
            await ui.page.shows("Connections")


async def test_a_gateway_that_starts_again_under_an_open_page_is_found_again(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        async with Client(ui.gateway.base) as ann:
            await ann.join("match:1")
            await ui.open_room("match:1")
        text = ui.gateway.path.read_text()
        ui.gateway._process.kill()
        await ui.gateway.wait(60)
        await ui.page.shows("does not answer")
        await ui.page.shows("trying again")
        async with GatewayCommand(text, tmp_path) as again, Client(again.base) as bob:
            await bob.join("match:1")
            await ui.page.shows("listening")
            await ui.page.shows("1 users with 1 sessions")
            await bob.send("chat", "send", {"msg": "after the restart"}, room="match:1")
            await ui.page.tab.until("document.querySelector('ol.log').innerText.includes('after the restart')")
            await ui.page.gone("alert")


async def test_nothing_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.page.tab.call("Network.enable")
        await ui.sign_in()
        await asyncio.sleep(0)
        asked = [
            event["params"]["request"]["url"]
            for event in ui.page.tab.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert asked
        assert all(url.startswith(ui.gateway.internal_base) for url in asked)
