"""Programs that tests run for real: where to find one, and how to run it beside a test. .ci/run installs them all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.required import skip_unless_required

__all__ = ["free_port", "program", "refusing_port", "running"]

START_TIMEOUT_S = 60.0


def program(name: str) -> str:
    """The path of an installed program; this Python's own and the system administrator's are looked at too."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        skip_unless_required(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of the loopback that nobody listens on, below those that outgoing connections are given.

    It is bound later: so no two processes of a run are given the same one, and none is given again soon.
    """
    for place in _PLACES:
        port = _LOWEST_PORT + place
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("places have no end")


def _own_places() -> Iterator[int]:
    """Those of this process of the run: each has a share of its own, and goes through it from anywhere."""
    worker = int("0" + re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")))
    share = worker % _SHARES * _PORTS_OF_A_SHARE
    first = random.SystemRandom().randrange(_PORTS_OF_A_SHARE)
    return (share + (first + step) % _PORTS_OF_A_SHARE for step in itertools.count())


_LOWEST_PORT = 20_000
_SHARES = 12
_PORTS_OF_A_SHARE = 1000
_PLACES = _own_places()


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody can while the block lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


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
    writer.transport.abort()
    return True
