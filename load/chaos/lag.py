"""How late a node answers pings, asked by a process of its own: what else the tool does delays nothing.

As a program: for each line on standard input it prints the longest that a ping has taken since the line before, in ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

__all__ = ["Pinger", "pinging"]

_EVERY_S: Final = 0.01
_ANSWERS_WITHIN_S: Final = 30.0


class Pinger:
    """Ask it for what was since it was last asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def longest_ms(self) -> int:
        """Raises RuntimeError when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that pings a node has ended")
        return round(float(line))


@asynccontextmanager
async def pinging(base: str) -> AsyncIterator[Pinger]:
    """One client of another tenant than those that work. Raises RuntimeError when it does not get in."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "load.chaos.lag", base, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        pinger = Pinger(process)
        await pinger.longest_ms()
        yield pinger
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ping(base: str) -> None:
    longest_s = 0.0
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)

    async def tell() -> None:
        nonlocal longest_s
        while await stdin.readline():
            print(1000 * longest_s, flush=True)
            longest_s = 0.0

    async with aiohttp.ClientSession() as session, session.ws_connect(f"{base}/v1/ws?tenant=calm&ticket=dev") as socket:
        await socket.receive()
        telling = asyncio.create_task(tell())
        while not telling.done():
            began = time.monotonic()
            await socket.send_str(json.dumps({"v": 1, "svc": "sys", "type": "ping"}))
            await socket.receive()
            longest_s = max(longest_s, time.monotonic() - began)
            await asyncio.sleep(_EVERY_S)


if __name__ == "__main__":
    asyncio.run(_ping(sys.argv[1]))
