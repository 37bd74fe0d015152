"""A backend for tests: a real HTTP server that verifies and remembers what it is asked; its conduct is one function."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from wsprism.protocol.standard_webhooks import verify

__all__ = ["KEY", "SECRET", "Backend", "backend", "raw_backend"]

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()

Answer = Callable[[dict[str, Any]], Awaitable[web.StreamResponse | Any]]


class Backend:
    """``answer`` gets a question's body: what it returns is answered as JSON, unless it is a response itself."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.answer: Answer = _yes

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """What was asked so far of one kind."""
        return [one for one in self.asked if one["kind"] == kind]

    def events(self) -> list[dict[str, Any]]:
        """All events of all batches, as often as they came."""
        return [event for batch in self.of_kind("events") for event in batch["events"]]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Verify, remember, answer."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        wrong = verify([KEY], headers, body, time.time())
        if wrong is not None:
            return web.Response(status=400, text=wrong)
        question = json.loads(body)
        self.asked.append(question)
        self.headers.append(headers)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = await self.answer(question)
        finally:
            self.under_way -= 1
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)


async def _yes(question: dict[str, Any]) -> Any:
    match question["kind"]:
        case "message":
            return {"effects": []}
        case "messages":
            return {"answers": [{"effects": []} for _ in question["messages"]]}
        case _:
            return {"allow": True}


@asynccontextmanager
async def backend(port: int = 0) -> AsyncIterator[Backend]:
    """A backend on loopback."""
    one = Backend()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/wsprism"
    try:
        yield one
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_backend(
    conduct: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The address of a server that does to each socket what it is told, in bytes."""
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await conduct(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if task.cancelled():  # it may be so before it has begun, and what it said need not arrive
                writer.transport.abort()
            else:
                writer.close()

        task = asyncio.get_running_loop().create_task(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(ended)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/wsprism"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
