"""A real redis-server (or valkey-server) for tests: of their own, on a Unix socket and a port of the loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components import free_port, program

__all__ = ["ENGINES", "RedisServer", "running_redis"]

START_TIMEOUT_S = 15.0

ENGINES = ["redis-server", *(["valkey-server"] if shutil.which("valkey-server") else [])]
"""Redis must be there where CI requires all; Valkey is tested where it is."""


class RedisServer:
    """``start`` and ``kill`` as often as a test likes: the socket and the port stay the same."""

    def __init__(self, *options: str, engine: str = "redis-server", sentinel: Path | None = None) -> None:
        """``sentinel`` is the configuration of one."""
        self._program = program(engine)
        self._sentinel = sentinel
        self._directory = Path(tempfile.mkdtemp(prefix="wsprism-redis-"))  # a Unix socket's path is short
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.path = str(self._directory / "redis.sock")
        self.url = f"unix://{self.path}"
        self.tcp_url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it, and return when it accepts."""
        command = [self._program, *([] if self._sentinel is None else [str(self._sentinel)])]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path]
        command += ["--dir", str(self._directory), "--daemonize", "no"]
        command += ["--sentinel"] if self._sentinel is not None else ["--save", "", *self._options]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{self._program} did not start:\n{(self._directory / 'log').read_text(errors='replace')}")
            time.sleep(0.01)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _accepts(self) -> bool:
        if not os.path.exists(self.path):
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.settimeout(1.0)
            one.connect(self.path)
            one.sendall(b"PING\r\n")
            return bool(one.recv(64))
        return False


@contextlib.contextmanager
def running_redis(*options: str, engine: str = "redis-server", sentinel: Path | None = None) -> Iterator[RedisServer]:
    """A started server until the block ends."""
    server = RedisServer(*options, engine=engine, sentinel=sentinel)
    try:
        server.start()
        yield server
    finally:
        server.close()
