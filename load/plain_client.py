"""What the gateway's calls are compared with: ``python -m load.plain_client PORT BACKEND_PORT``.

It posts one body after the other to the backend, so many at a time, and does nothing else; ``/readyz`` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Final

import aiohttp
from aiohttp import web

from load.counting import plain_payload
from load.peers.base import HOST

__all__ = ["BODY", "main"]

_IN_FLIGHT: Final = 64

BODY: Final = json.dumps(
    {
        "kind": "message",
        "id": "msg_0123456789abcdef0123456789abcdef",
        "time": "2026-01-01T00:00:00.000Z",
        "tenant": "backend",
        "session": {"user": "user:u1", "sid": "0123456789abcdef", "generation": 1},
        "message": {"svc": "ask", "type": "x", "data": plain_payload().decode()},
    }
).encode()
"""As long as the gateway's own questions."""


async def _post(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        async with http.post(url, data=BODY, headers={"Content-Type": "application/json"}) as answer:
            await answer.read()


async def _until_it_listens(port: int) -> None:
    """The backend is started beside this process, and may be the later one. Raises TimeoutError after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def _ready(_: web.Request) -> web.Response:
    return web.Response()


async def _run(port: int, backend_port: int) -> None:
    app = web.Application()
    app.router.add_get("/readyz", _ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await _until_it_listens(backend_port)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_IN_FLIGHT)) as http:
        await asyncio.gather(*(_post(http, f"http://{HOST}:{backend_port}/") for _ in range(_IN_FLIGHT)))


def main() -> None:
    """Until a signal ends the process."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
