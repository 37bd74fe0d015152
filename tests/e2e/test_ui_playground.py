"""The playground: clients of the SDK side by side on the public listener, on both lanes, and a scenario as a link."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.client import Client
from tests.dashboard import Dashboard, dashboard
from tests.page import Node


async def log_of(ui: Dashboard, client: Node) -> str:
    return await ui.page.text_of(await ui.page.find("list", "Log", client))


async def log_says(ui: Dashboard, at: int, text: str) -> None:
    script = f"document.querySelectorAll('.client .log')[{at}]?.innerText.includes({json.dumps(text)})"
    await ui.page.tab.until(script)


async def connect(ui: Dashboard, at: int, ticket: str) -> Node:
    """One more client in ``match:1``."""
    page = ui.page
    await page.click("button", "Add client")
    client = await page.find("region", at=at)
    await page.fill("Tenant", "acme", client)
    await page.fill("Ticket", ticket, client)
    await page.click("button", "Connect", client)
    await log_says(ui, at, "authed")
    await page.fill("Room", "match:1", client)
    await page.click("button", "Join", client)
    await log_says(ui, at, "joined")
    return client


async def test_two_clients_talk_on_both_lanes_and_the_log_has_both_directions(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        await ui.look_at("Playground")
        page = ui.page
        ann = await connect(ui, 0, "dev:ann")
        assert await page.call_on(await page.find("textbox", "URL", ann), "function() { return this.value; }") == (
            f"ws://127.0.0.1:{ui.gateway.port}"
        )
        bob = await connect(ui, 1, "dev:bob")
        await page.fill("Service", "chat", ann)
        await page.fill("Type", "send", ann)
        await page.fill("Data", '{"msg": "hello bob"}', ann)
        await page.click("button", "Send", ann)
        await log_says(ui, 1, '"from":"user:ann","msg":"hello bob"')
        await page.fill("Frame", "01 07 00 u16 500", bob)
        await page.click("button", "Send frame", bob)
        await log_says(ui, 0, "f4 01")
        said = await log_of(ui, ann)
        assert "→" in said
        assert "←" in said
        assert " B" in said
        assert ", after " in said  # the acknowledgement

        await page.fill("Data", "{", ann)
        await page.click("button", "Send", ann)
        assert "not JSON" in await page.text_of(await page.find("alert", within=ann))
        await page.fill("Frame", "01", bob)
        await page.click("button", "Send frame", bob)
        assert "three bytes" in await page.text_of(await page.find("alert", within=bob))

        await ui.look_at("Overview")
        await ui.look_at("Playground")
        assert "hello bob" in await log_of(ui, await page.find("region", at=1))


async def test_what_goes_wrong_is_told(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        await ui.look_at("Playground")
        page = ui.page
        await page.click("button", "Add client")
        client = await page.find("region")
        await page.click("button", "Join", client)
        await page.shows("Connect first.")
        await page.fill("Ticket", "nonsense", client)
        await page.click("button", "Connect", client)
        await page.shows("4502")
        await page.fill("URL", "http://nowhere", client)
        await page.click("button", "Connect", client)
        await page.shows("ws://")


async def test_a_link_brings_the_scenario_back_and_holds_no_secret(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui, Client(ui.gateway.base) as watching:
        await watching.join("match:1")
        await ui.sign_in()
        await ui.look_at("Playground")
        page = ui.page
        for at, (ticket, room) in enumerate((("dev:ann", "match:\U0001f984"), ("a-secret", "match:2"))):
            await page.click("button", "Add client")
            client = await page.find("region", at=at)
            await page.fill("Ticket", ticket, client)
            await page.fill("Room", room, client)
            await page.fill("Data", '["<b>"]', client)
        await page.click("button", "Link", client)
        url = str(await page.tab.run("location.href"))
        kept = base64.urlsafe_b64decode(url.partition("s=")[2] + "==").decode()
        assert "a-secret" not in kept
        await page.go("about:blank")
        await page.go(url)
        await page.fill("API key", "k-admin-0123456789")
        await page.click("button", "Sign in")
        await page.find("region", at=1)
        values = "[...one.querySelectorAll('input,textarea')].map((field) => field.value)"
        first, second = await page.tab.run(f"[...document.querySelectorAll('.client')].map((one) => {values})")
        assert first[:4] == [f"ws://127.0.0.1:{ui.gateway.port}", "acme", "dev:ann", "match:\U0001f984"]
        assert second[2:4] == ["", "match:2"]
        assert first[6] == '["<b>"]'
        assert "authed" not in await page.text()

        for broken in ("x", base64.urlsafe_b64encode(b'{"a": 1}').decode(), base64.urlsafe_b64encode(b"[1]").decode()):
            await page.go("about:blank")
            await page.go(f"{ui.url}#/playground?s={broken}")
            await page.fill("API key", "k-admin-0123456789")
            await page.click("button", "Sign in")
            await page.find("button", "Add client")
