"""A headless Chromium with as many tabs as a test wants, each driven by the DevTools protocol; Firefox, a page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.components import program

__all__ = ["Browser", "DevToolsError", "Tab", "browser", "chromium", "firefox"]

START_TIMEOUT_S = 60.0
WAIT_TIMEOUT_S = 60.0


class DevToolsError(Exception):
    """A command that the browser could not carry out, such as one to a page that is being loaded."""


class Tab:
    """A page that runs JavaScript for a test."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    async def run(self, script: str) -> Any:
        """What ``script``, an expression, gives (a promise: once it has)."""
        given = {"expression": script, "returnByValue": True, "awaitPromise": True}
        until_s = time.monotonic() + WAIT_TIMEOUT_S
        while True:
            try:
                answer = await self.call("Runtime.evaluate", **given)
                break
            except DevToolsError as error:  # it has no context while it is being loaded
                if "context" not in str(error) or time.monotonic() > until_s:
                    raise
                await asyncio.sleep(0.05)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def call(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol; what is told meanwhile is kept in ``events``."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=WAIT_TIMEOUT_S)
            if answer.get("id") == self._calls:
                break
            self.events.append(answer)
        if "error" in answer:
            raise DevToolsError(f"{method}: {answer['error']}")
        return answer["result"]

    async def until(self, script: str) -> None:
        """Wait until ``script`` gives what is true."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_TIMEOUT_S):
                while not await self._holds(script):  # noqa: ASYNC110 (another process's state)
                    await asyncio.sleep(0.05)
                return
        raise AssertionError(f"never true: {script}\n{await self.run('document.body.innerText')}")

    async def _holds(self, script: str) -> bool:
        try:
            return bool(await self.run(script))
        except DevToolsError:
            return False

    async def until_shown(self, text: str, times: int = 1) -> None:
        """Wait until the page shows ``text`` so often."""
        await self.until(f"document.body.innerText.split({json.dumps(text)}).length === {times + 1}")


class Browser:
    """``open`` tabs; they end with the browser."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base

    async def open(self, url: str) -> Tab:
        async with self._http.put(f"{self._base}/json/new?{quote(url, safe=':/?=')}") as answer:
            target = await answer.json()
        tab = Tab(await self._http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        await tab.until("location.href !== 'about:blank' && document.readyState === 'complete'")
        return tab


@contextlib.asynccontextmanager
async def _showing(name: str, *arguments: str, home: Path | None = None) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        program(name),
        *arguments,
        env=os.environ | ({} if home is None else {"HOME": str(home)}),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def chromium(profile: Path, url: str) -> AbstractAsyncContextManager[None]:
    """Chromium, headless, with a new profile in the directory ``profile``, showing ``url``; it ends with the block."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
    return _showing("chromium", *options, f"--user-data-dir={profile}", url)


def firefox(profile: Path, url: str) -> AbstractAsyncContextManager[None]:
    """Firefox, the same; ``profile`` must be there."""
    return _showing("firefox-esr", "--headless", "--no-remote", "--profile", str(profile), url, home=profile)


@contextlib.asynccontextmanager
async def browser(directory: Path) -> AsyncIterator[Browser]:
    """Chromium with a new profile below ``directory``."""
    profile = directory / "profile"
    async with chromium(profile, "about:blank"):
        async with asyncio.timeout(START_TIMEOUT_S):
            while (port := _port_in(profile / "DevToolsActivePort")) is None:  # noqa: ASYNC110 (another process's state)
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession() as http:
            yield Browser(http, f"http://127.0.0.1:{port}")


def _port_in(file: Path) -> int | None:
    """The port that Chromium writes there, on the first of two lines."""
    lines = file.read_text().splitlines() if file.exists() else []
    return int(lines[0]) if len(lines) == 2 else None
