"""The products in examples/, started as their READMEs say and used in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser import Tab, browser
from tests.components import free_port, running

ROOT = Path(__file__).parents[2]
CHAT = ROOT / "examples" / "chat"


def command_of(example: Path) -> list[str]:
    """The one command of its README, with this Python."""
    found = re.search(r"<!-- run -->\n```sh\n\S+python (\S+)\n```", (example / "README.md").read_text())
    assert found is not None
    return [sys.executable, str(ROOT / found[1])]


class Chat:
    """A running one."""

    def __init__(self, base: str, output: Path) -> None:
        self.base = base
        self._output = output

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.base + path) as answer:
            assert answer.status == 200
            return await answer.json()

    def backend_pid(self) -> int:
        """The process that is the backend now."""
        return int(re.findall(r"the backend is process (\d+)", self._output.read_text())[-1])


@contextlib.asynccontextmanager
async def chat(directory: Path) -> AsyncIterator[Chat]:
    port, gateway_port = free_port(), free_port()
    environment = {
        "CHAT_PORT": str(port),
        "CHAT_GATEWAY_PORT": str(gateway_port),
        "CHAT_DATABASE": str(directory / "chat.sqlite"),
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    output = directory / "chat.log"
    async with running(*command_of(CHAT), port=port, output=output, env=environment) as process:
        yield Chat(f"http://127.0.0.1:{port}", output)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0
    assert "Traceback" not in output.read_text()


async def say(tab: Tab, text: str) -> None:
    await tab.run(f"form.text.value = '{text}', form.requestSubmit()")


async def cheer(tab: Tab) -> None:
    await tab.run("document.querySelector('#cheer').click()")


async def test_two_tabs_of_the_chat_talk_and_what_they_say_is_stored_and_moderated(tmp_path: Path) -> None:
    async with chat(tmp_path) as there, browser(tmp_path) as chromium:
        ann = await chromium.open(there.base + "/?name=ann")
        bob = await chromium.open(there.base + "/?name=bob")
        await ann.until_shown("you are ann")
        await bob.until_shown("you are bob")

        await say(ann, "hello <b>bob</b>")
        await bob.until_shown("ann: hello <b>bob</b>")
        await say(bob, "hello ann")
        for tab in (ann, bob):
            await tab.until_shown("bob: hello ann")

        await say(bob, "oh darn")
        await bob.until_shown("no bad words here")
        await say(bob, "sorry")
        await ann.until_shown("bob: sorry")
        assert "darn" not in await ann.run("document.querySelector('#lines').innerText")

        assert [(one["from"], one["msg"]) for one in await there.get("/history")] == [
            ("user:ann", "hello <b>bob</b>"),
            ("user:bob", "hello ann"),
            ("user:bob", "sorry"),
        ]
        late = await chromium.open(there.base + "/?name=cid")
        await late.until_shown("bob: sorry")

        await say(bob, "heck")
        await bob.until_shown("no bad words here", times=2)
        await say(bob, "heck")
        await bob.until_shown("put out: banned")
        again = await chromium.open(there.base + "/?name=bob")
        await again.until("socket?.readyState === WebSocket.CLOSED")
        await again.until_shown("closed: you are banned")


async def test_the_chat_s_backend_dies_in_the_middle_and_misses_nothing(tmp_path: Path) -> None:
    async with chat(tmp_path) as there, browser(tmp_path) as chromium:
        ann = await chromium.open(there.base + "/?name=ann")
        bob = await chromium.open(there.base + "/?name=bob")
        await ann.until_shown("you are ann")
        await bob.until_shown("you are bob")
        await say(ann, "before")
        await cheer(ann)
        await bob.until_shown("ann: before")
        await bob.until_shown("ann: 👏")

        before = there.backend_pid()
        os.kill(before, signal.SIGKILL)
        for count in range(1, 21):
            await cheer(bob)
            await ann.until_shown("bob: 👏", times=count)

        async with asyncio.timeout(30):
            while there.backend_pid() == before:  # noqa: ASYNC110 (another process's state)
                await asyncio.sleep(0.05)
            cheers: dict[str, int] = {}
            while sum(cheers.values()) < 21:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    cheers = await there.get("/cheers")
                await asyncio.sleep(0.05)
        await say(ann, "after")
        await bob.until_shown("ann: after")
        assert cheers == {"user:ann": 1, "user:bob": 20}
        assert await there.get("/cheers") == cheers
        assert [one["msg"] for one in await there.get("/history")] == ["before", "after"]
