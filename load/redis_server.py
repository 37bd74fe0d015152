"""A redis-server (or valkey-server, or a Sentinel) of one's own, on a Unix socket and a port of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from hiredis import Reader, pack_command

from load.processes import ServerFailedError

__all__ = ["RedisServer"]

START_TIMEOUT_S = 60.0
ASK_TIMEOUT_S = 3.0


class RedisServer:
    """``start`` and ``kill`` as often as one likes: the socket, the port and the files stay the same."""

    def __init__(self, program: str, port: int, *options: str, sentinel: Path | None = None) -> None:
        """``sentinel`` is the configuration of one."""
        self._program = program
        self._sentinel = sentinel
        self._directory = Path(tempfile.mkdtemp(prefix="wsprism-redis-"))  # a Unix socket's path is short
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.path = str(self._directory / "redis.sock")
        self.url = f"unix://{self.path}"
        self.tcp_url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it, and return when it accepts. Raises ServerFailedError."""
        command = [self._program, *([] if self._sentinel is None else [str(self._sentinel)])]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path]
        command += ["--dir", str(self._directory), "--daemonize", "no"]
        command += ["--sentinel"] if self._sentinel is not None else ["--save", "", *self._options]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServerFailedError(self._program, (self._directory / "log").read_text(errors="replace"))
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

    async def ask(self, *words: str | int) -> Any:
        """One command on a connection of its own. Raises Redis's errors; OSError or TimeoutError where it is away."""
        async with asyncio.timeout(ASK_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(self.path)
            try:
                writer.write(pack_command(tuple(words)))  # type: ignore[arg-type]  # it is typed for one word
                parser = Reader(encoding="utf-8", errors="replace", notEnoughData=Reader)
                while (answer := parser.gets()) is Reader:
                    data = await reader.read(1 << 16)
                    if not data:
                        raise ConnectionResetError("Redis has ended the connection")
                    parser.feed(data)
            finally:
                writer.transport.abort()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _accepts(self) -> bool:
        if not os.path.exists(self.path):
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.settimeout(1.0)
            one.connect(self.path)
            one.sendall(b"PING\r\n")
            return bool(one.recv(64))
        return False
