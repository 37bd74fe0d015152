"""Programs that tests run for real: where to find one, and how to run it beside a test. .ci/run installs them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.required import skip_unless_required

__all__ = ["free_port", "program", "running"]

START_TIMEOUT_S = 15.0


def program(name: str) -> str:
    """The path of an installed program; this Python's own and the system administrator's are looked at too."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        skip_unless_required(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of the loopback that nobody listens on, below those that outgoing connections are given."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.asynccontextmanager
async def running(
    *command: str, port: int, output: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server until the block ends: entered once ``port`` accepts, its output appended to ``output``."""
    with output.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
        )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _accepts(port):
                if process.returncode is not None:
                    pytest.fail(f"{command[0]} ended with {process.returncode}:\n{_text(output)}")
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
