"""Starts the game: the gateway and its backend. Ctrl-C ends both. A backend that dies is started again.

``--service``: the gateway decides, by service.py, and the backend serves the page only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

HERE = Path(__file__).parent
RESTART_PAUSE_S = 1.0
KEY = secrets.token_urlsafe(32)
IN_GATEWAY = "--service" in sys.argv[1:]


async def start(*arguments: str) -> Process:
    """In a session of its own: Ctrl-C in the terminal is for this process, which ends the others in their order."""
    environment = {"GAME_KEY": KEY} | os.environ | {"GAME_AUTHORITY": "gateway" if IN_GATEWAY else "backend"}
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, start_new_session=True)


async def end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def keep_backend() -> None:
    while True:
        backend = await start(str(HERE / "backend.py"))
        print(f"the backend is process {backend.pid}", flush=True)
        try:
            await backend.wait()
        finally:
            await end(backend)
        await asyncio.sleep(RESTART_PAUSE_S)


async def main() -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    gateway = await start(
        "-m", "wsprism", "--config", str(HERE / ("wsprism-service.yaml" if IN_GATEWAY else "wsprism.yaml"))
    )
    backend, asked = asyncio.create_task(keep_backend()), asyncio.create_task(stopped.wait())
    ended = asyncio.create_task(gateway.wait())
    print(f"open http://127.0.0.1:{os.environ.get('GAME_PORT', '9000')}/ in two tabs", flush=True)
    await asyncio.wait({asked, ended, backend}, return_when=asyncio.FIRST_COMPLETED)
    await end(gateway)  # first: the backend hears that it goes
    for task in (asked, backend):
        task.cancel()
    await asyncio.gather(asked, backend, return_exceptions=True)
    return gateway.returncode or 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
