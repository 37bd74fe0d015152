"""README's first screen, word for word: a fresh clone's configuration, and a page in two tabs of a real browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.browser import Tab, browser
from tests.components import free_port
from tests.meta.test_readme import README, ROOT, block
from tests.page import Page
from tests.process import GatewayCommand

CONFIG = "config/playground.yaml"
KEY = "only-for-a-first-look"


def with_ports(text: str, public: int, internal: int) -> str:
    """``text`` with free ports in place of README's."""
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{public}").replace("127.0.0.1:9090", f"127.0.0.1:{internal}")


async def say(tab: Tab, text: str) -> None:
    """Typed and sent by keys."""
    await tab.run("document.forms[0][0].focus()")
    await tab.call("Input.insertText", text=text)
    for kind in ("keyDown", "keyUp"):
        await tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")


async def shows(tab: Tab, *texts: str) -> None:
    await tab.until(f"document.querySelector('pre').innerText === {chr(10).join([*texts, ''])!r}")


async def both_are_there(internal: int) -> None:
    """A person opens the second tab before typing into the first."""
    url = f"http://127.0.0.1:{internal}/v1/tenants/acme/rooms/match:1"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as api, asyncio.timeout(60):
        while True:
            async with api.get(url) as answer:
                if answer.status == 200 and (await answer.json())["sessions"] == 2:
                    return
            await asyncio.sleep(0.05)


def test_the_command_starts_the_configuration_of_the_clone() -> None:
    assert block("playground") == f".venv/bin/python -m wsprism --config {CONFIG}\n"


async def test_two_tabs_talk_also_when_the_gateway_was_started_anew(tmp_path: Path) -> None:
    public, internal = free_port(), free_port()
    config = with_ports((ROOT / CONFIG).read_text(), public, internal)
    page = tmp_path / "hello.html"
    page.write_text(with_ports(block("tabs"), public, internal))
    async with browser(tmp_path) as chromium:
        async with GatewayCommand(config, tmp_path):
            ann, bob = [await chromium.open(page.as_uri()) for _ in range(2)]
            await both_are_there(internal)
            await say(ann, "hello bob")
            await shows(ann, "hello bob")
            await shows(bob, "hello bob")
            await say(bob, "hello ann")
            for tab in (ann, bob):
                await shows(tab, "hello bob", "hello ann")
        await say(ann, "are you there?")
        async with GatewayCommand(config, tmp_path):
            await shows(ann, "hello bob", "hello ann", "are you there?")
            await say(bob, "here I am")
            await shows(ann, "hello bob", "hello ann", "are you there?", "here I am")
            await bob.until("document.querySelector('pre').innerText.endsWith('here I am\\n')")


async def test_the_key_of_the_readme_opens_the_playground(tmp_path: Path) -> None:
    public, internal = free_port(), free_port()
    assert f"`http://127.0.0.1:9090/ui/` (key: `{KEY}`)" in README
    config = with_ports((ROOT / CONFIG).read_text(), public, internal)
    async with GatewayCommand(config, tmp_path), browser(tmp_path) as chromium:
        page = Page(await chromium.open("about:blank#"))
        await page.watch()
        await page.go(f"http://127.0.0.1:{internal}/ui/#/playground")
        await page.fill("API key", KEY)
        await page.click("button", "Sign in")
        clients = []
        for at, ticket in enumerate(("dev:ann", "dev:bob")):
            await page.click("button", "Add client")
            client = await page.find("region", at=at)
            await page.fill("Ticket", ticket, client)
            await page.click("button", "Connect", client)
            await page.tab.until(f"document.querySelectorAll('.client .log')[{at}].innerText.includes('authed')")
            await page.click("button", "Join", client)
            await page.tab.until(f"document.querySelectorAll('.client .log')[{at}].innerText.includes('joined')")
            clients.append(client)
        await page.click("button", "Send", clients[0])
        await page.tab.until("document.querySelectorAll('.client .log')[1].innerText.includes('user:ann')")
        assert not page.complaints
