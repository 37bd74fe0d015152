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
import pytest

from tests.browser import Tab, browser
from tests.components import free_port, running

ROOT = Path(__file__).parents[2]
CHAT, GAME = ROOT / "examples" / "chat", ROOT / "examples" / "game"


def command_of(example: Path) -> list[str]:
    """The one command of its README, with this Python."""
    found = re.search(r"<!-- run -->\n```sh\n\S+python (\S+)\n```", (example / "README.md").read_text())
    assert found is not None
    return [sys.executable, str(ROOT / found[1])]


class Product:
    """A running one."""

    def __init__(self, base: str, output: Path) -> None:
        self.base = base
        self._output = output

    def backend_pid(self) -> int:
        """The process that is the backend now."""
        return int(re.findall(r"the backend is process (\d+)", self._output.read_text())[-1])

    async def kill_backend(self) -> None:
        """It dies; another one takes its place."""
        before = self.backend_pid()
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(60):
            while self.backend_pid() == before:  # noqa: ASYNC110 (another process's state)
                await asyncio.sleep(0.05)

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.base + path) as answer:
            assert answer.status == 200
            return await answer.json()


@contextlib.asynccontextmanager
async def product(example: Path, directory: Path, *options: str, **variables: str) -> AsyncIterator[Product]:
    port = free_port()
    name = example.name.upper()
    environment = {
        f"{name}_PORT": str(port),
        f"{name}_GATEWAY_PORT": str(free_port()),
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    output = directory / "output.log"
    async with running(
        *command_of(example), *options, port=port, output=output, env=environment | variables
    ) as process:
        yield Product(f"http://127.0.0.1:{port}", output)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert "Traceback" not in output.read_text()


def chat(directory: Path) -> contextlib.AbstractAsyncContextManager[Product]:
    return product(CHAT, directory, CHAT_DATABASE=str(directory / "chat.sqlite"))


def game(directory: Path, *options: str) -> contextlib.AbstractAsyncContextManager[Product]:
    return product(GAME, directory, *options, GAME_INTERNAL_PORT=str(free_port()))


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
        await bob.until_shown("closed: banned")
        again = await chromium.open(there.base + "/?name=bob")
        await again.until("client?.state === 'closed'")
        await again.until_shown("you are banned")


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

        back = asyncio.create_task(there.kill_backend())
        await asyncio.sleep(0)
        for count in range(1, 21):
            await cheer(bob)
            await ann.until_shown("bob: 👏", times=count)

        await back
        async with asyncio.timeout(60):
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


async def hold(tab: Tab, key: str, *, down: bool = True) -> None:
    await tab.run(f"dispatchEvent(new KeyboardEvent('key{'down' if down else 'up'}', {{key: '{key}'}}))")


@pytest.mark.parametrize("options", [(), ("--service",)], ids=["backend", "service"])
async def test_two_tabs_of_the_game_play_in_one_world_that_nobody_else_decides(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    async with game(tmp_path, *options) as there, browser(tmp_path) as chromium:
        ann = await chromium.open(there.base + "/?name=ann")
        bob = await chromium.open(there.base + "/?name=bob")
        for tab in (ann, bob):
            await tab.until("state && state.players.ann && state.players.bob")
        await hold(ann, "ArrowRight")
        await bob.until("state.players.ann[0] === 400")  # at the wall, and no further
        await hold(ann, "ArrowRight", down=False)
        await hold(ann, "ArrowLeft")
        await bob.until("state.players.ann[0] === 0")
        await hold(ann, "ArrowLeft", down=False)
        assert await bob.run("state.players.bob[0] > 0 && state.players.bob[0] < 400")

        ticks = await bob.run(
            "(async () => { const first = state.tick, at = performance.now();"
            " await new Promise((done) => setTimeout(done, 2000));"
            " return (state.tick - first) / (performance.now() - at) * 1000; })()"
        )
        assert 1 < ticks < 60  # twenty, but for what a busy machine holds up and lets go at once

        await ann.run("(async () => { await 0; location.href = 'about:blank'; })()")
        await bob.until("state.players.ann === undefined")
        other = await chromium.open(there.base + "/?name=cid&room=another")
        await other.until("state && state.players.cid")
        assert await other.run("state.players.bob") is None
        assert await bob.run("state.players.cid") is None


async def test_a_coin_is_whoever_s_reaches_it(tmp_path: Path) -> None:
    async with game(tmp_path) as there, browser(tmp_path) as chromium:
        ann = await chromium.open(there.base + "/?name=ann")
        await ann.until("state && state.players.ann")
        await ann.run(  # it goes where the coin is
            "setInterval(() => { const [x, y] = state.players.ann, [to_x, to_y] = state.coin;"
            " keys = (x < to_x - 6 ? 2 : 0) | (x > to_x + 6 ? 1 : 0) | (y < to_y - 6 ? 8 : 0) | (y > to_y + 6 ? 4 : 0);"
            " steer(); }, 50) && 0"
        )
        await ann.until("state.players.ann[2] >= 2")
        await ann.until("/ann: [2-9]/.test(document.querySelector('#scores').innerText)")


async def test_the_game_goes_on_when_its_backend_has_died(tmp_path: Path) -> None:
    async with game(tmp_path) as there, browser(tmp_path) as chromium:
        ann = await chromium.open(there.base + "/?name=ann")
        await ann.until("state && state.players.ann && state.tick > 40")
        await there.kill_backend()
        await ann.until_shown("the backend is away")
        await ann.until("state.tick < 40 && state.players.ann")
        assert await ann.run("client.state") == "open"
