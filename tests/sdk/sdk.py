"""The SDKs as processes of their own (Node, Deno, Bun, a Python) or a page (Chromium, Firefox), all driven with the
same words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.browser import chromium, firefox
from tests.sdk.packages import PYTHON_CLIENT, built_js, python_with_client, runtime

__all__ = ["PAGES", "SEE_NO_STATUS", "Client", "Driver", "Room", "Sdk", "SdkError", "start_driver"]

WAIT_S = 40.0
START_S = 90.0
HERE = Path(__file__).parent

# Short, so that a test does not wait for what is not its subject.
QUICK: dict[str, Any] = {"backoff_base_s": 0.05, "backoff_cap_s": 0.1}

PAGES = {"chromium": chromium, "firefox": firefox}
RUNTIMES: dict[str, tuple[str, ...]] = {"node": (), "deno": ("run", "--allow-all", "--no-config"), "bun": ("run",)}
"""What is told to each before the name of a program."""
SEE_NO_STATUS = {*PAGES, "deno", "bun"}
"""Their WebSocket says of a refused handshake that it failed, and nothing more."""

PAGE = """<!doctype html><script type="module">
import { run } from "/driver.mjs";
import * as sdk from "/dist/index.js";
const socket = new WebSocket(`ws://${location.host}/control`);
const handle = run(sdk, (message) => socket.send(JSON.stringify(message)));
socket.onmessage = (event) => handle(JSON.parse(event.data));
</script>"""


class SdkError(Exception):
    """What a call of an SDK raised; ``code`` is None when it was no WsPrismError."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: str | None = error["code"]
        self.type: str = error["type"]
        self.msg: str = error["msg"]


class Driver:
    """Commands out, answers and events in."""

    def __init__(self, write: Callable[[str], Awaitable[None]]) -> None:
        self._write = write
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    async def ask(self, do: str, **fields: Any) -> Any:
        """Raises SdkError."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._write(json.dumps({"id": self._number, "do": do, **fields}))
        return await answer

    def received(self, line: str | bytes) -> None:
        message = json.loads(line)
        if "id" not in message:
            self._events.append(message)
            self._more.set()
            return
        answer = self._answers.pop(message["id"])
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(SdkError(message["error"]))
            answer.exception()
        else:
            answer.set_result(message["value"])

    async def event(
        self, event: str, client: str | None, room: str | None, where: Callable[[Any], bool]
    ) -> dict[str, Any]:
        """The first event of this kind that nobody has taken yet."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for at, found in enumerate(self._events):
                    mine = (found["event"], found.get("client"), found.get("room")) == (event, client, room)
                    if mine and where(found["value"]):
                        return self._events.pop(at)
                self._more.clear()
                await self._more.wait()

    def seen(self, event: str) -> list[dict[str, Any]]:
        """The events of this kind that nobody has taken."""
        return [found for found in self._events if found["event"] == event]

    async def has_seen(self, event: str, count: int) -> None:
        """Wait until there are so many of this kind that nobody has taken."""
        while len(self.seen(event)) < count:
            self._more.clear()
            await self._more.wait()

    async def reset(self) -> None:
        """Close all clients; what is left of their events is returned to nobody, but nothing may be unhandled."""
        await self.ask("reset")
        unhandled = self.seen("unhandled")
        self._events.clear()
        assert not unhandled, unhandled


class Room:
    """A room of a client of an SDK."""

    def __init__(self, sdk: Sdk, client: str, name: str) -> None:
        self._sdk, self._client, self.name = sdk, client, name

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self._sdk.driver.ask(
            "call", client=self._client, room=self.name, method=method, args=args, kwargs=kwargs
        )

    def calling(self, method: str, *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """A call that the test does not wait for at once."""
        return self._sdk.background(self.call(method, *args, **kwargs))

    async def get(self, name: str) -> Any:
        return await self._sdk.driver.ask("get", client=self._client, room=self.name, name=name)

    async def event(self, event: str, where: Callable[[Any], bool] = lambda _: True) -> Any:
        return (await self._sdk.driver.event(event, self._client, self.name, where))["value"]

    async def throwing(self, event: str, *, later: bool = False) -> None:
        """A listener that throws; ``later``: an async one."""
        await self._sdk.driver.ask("throwing", client=self._client, room=self.name, event=event, later=later)


class Client:
    """A client of an SDK."""

    def __init__(self, sdk: Sdk, name: str) -> None:
        self._sdk, self.name = sdk, name

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self._sdk.driver.ask("call", client=self.name, room=None, method=method, args=args, kwargs=kwargs)

    def calling(self, method: str, *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """A call that the test does not wait for at once."""
        return self._sdk.background(self.call(method, *args, **kwargs))

    async def connect(self) -> None:
        await self.call("connect")

    async def get(self, name: str) -> Any:
        return await self._sdk.driver.ask("get", client=self.name, room=None, name=name)

    async def room(self, name: str, *, listen: bool = True, **options: Any) -> Room:
        await self._sdk.driver.ask("room", client=self.name, room=name, options=options, listen=listen)
        return Room(self._sdk, self.name, name)

    async def same_room(self, name: str) -> bool:
        """Whether asking for it gives the object that it gave the last time."""
        same: bool = await self._sdk.driver.ask("room", client=self.name, room=name, options={}, listen=True)
        return same

    async def event(self, event: str, where: Callable[[Any], bool] = lambda _: True) -> Any:
        return (await self.told(event, where))["value"]

    async def told(self, event: str, where: Callable[[Any], bool] = lambda _: True) -> dict[str, Any]:
        """The event with its time, ``at``, in milliseconds since 1970."""
        return await self._sdk.driver.event(event, self.name, None, where)

    async def state(self, state: str) -> Any:
        """Wait until it says that it is in this state."""
        return await self.event("state", lambda value: value["state"] == state)

    async def react(self, room: Room | None, event: str, on: Room | None, method: str, *args: Any) -> None:
        """A listener that calls a method of the client, or of the room ``on``, the first time."""
        names = [None if each is None else each.name for each in (room, on)]
        await self._sdk.driver.ask(
            "react", client=self.name, room=names[0], event=event, on=names[1], method=method, args=args
        )

    async def throwing(self, event: str) -> None:
        """A listener that throws."""
        await self._sdk.driver.ask("throwing", client=self.name, room=None, event=event, later=False)


class Sdk:
    """One SDK for one test."""

    def __init__(self, name: str, driver: Driver) -> None:
        self.name, self.driver = name, driver
        self._made = 0
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def browser(self) -> bool:
        return self.name in PAGES

    @property
    def javascript(self) -> bool:
        return self.browser or self.name in RUNTIMES

    async def client(self, url: str, *, listen: bool = True, ticket: Any = "dev:ann", **options: Any) -> Client:
        """A new client; ``ticket`` may be a list: what the ticket function gives, one after the other."""
        self._made += 1
        name = f"c{self._made}"
        given = {"tenant": "acme", "ticket": ticket, **QUICK, **options}
        await self.driver.ask("new", client=name, url=url, options=given, listen=listen)
        return Client(self, name)

    async def logged(self) -> str:
        """The next line that the SDK writes because nobody listens."""
        return str((await self.driver.event("log", None, None, lambda _: True))["value"])

    def background(self, call: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(call)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._tasks.append(task)
        return task

    async def end(self) -> None:
        await self.driver.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def start_driver(name: str) -> AsyncIterator[Driver]:
    """``python`` (this one), ``python3.10`` and the like (from the wheel), ``node``, ``deno``, ``bun``, or a page."""
    if name in PAGES:
        start = _page(PAGES[name])
    elif name in RUNTIMES:
        package = (built_js() / "dist" / "index.js").as_uri()
        start = _process(runtime(name), *RUNTIMES[name], str(HERE / "driver.mjs"), package)
    elif name == "python":
        start = _process(sys.executable, "-X", "dev", "-W", "error", str(HERE / "driver.py"), path=PYTHON_CLIENT)
    else:
        start = _process(str(python_with_client(name)), "-X", "dev", "-W", "error", str(HERE / "driver.py"))
    async with start as driver:
        yield driver


@contextlib.asynccontextmanager
async def _process(*command: str, path: Path | None = None) -> AsyncIterator[Driver]:
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment, limit=2**24)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def write(line: str) -> None:
        stdin.write(line.encode() + b"\n")
        await stdin.drain()

    driver = Driver(write)

    async def read() -> None:
        while line := await stdout.readline():
            driver.received(line)

    reading = asyncio.create_task(read())
    try:
        yield driver
    finally:
        stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


@contextlib.asynccontextmanager
async def _page(browser: Callable[[Path, str], AbstractAsyncContextManager[None]]) -> AsyncIterator[Driver]:
    package = built_js()
    control: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()
    driver: Driver

    async def write(line: str) -> None:
        await (await control).send_str(line)

    driver = Driver(write)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/control":
            socket = web.WebSocketResponse(max_msg_size=0)
            await socket.prepare(request)
            control.set_result(socket)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    driver.received(message.data)
            return socket
        if request.path == "/":
            return web.Response(text=PAGE, content_type="text/html")
        file = HERE / "driver.mjs" if request.path == "/driver.mjs" else package / request.path.lstrip("/")
        if not file.is_file():
            return web.Response(status=404)
        return web.Response(text=file.read_text(), content_type="text/javascript")

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        try:
            async with browser(Path(profile), f"http://127.0.0.1:{runner.addresses[0][1]}/"):
                async with asyncio.timeout(START_S):
                    await control
                yield driver
        finally:
            await runner.cleanup()
