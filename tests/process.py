"""A gateway as a process of its own, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["GatewayCommand"]

START_TIMEOUT_S = 60.0


class GatewayCommand:
    """``async with GatewayCommand(config_text, directory) as gateway`` runs ``python -m wsprism --config ...``."""

    def __init__(
        self, config: str, directory: Path, *options: str, environment: dict[str, str] | None = None, max_files: int = 0
    ) -> None:
        """``options`` are further arguments of ``wsprism start``; ``max_files`` its limit on open files, if not 0."""
        self.path = directory / "wsprism.yaml"
        self.path.write_text(config)
        self._command = ["start", "--config", str(self.path), *options] if options else ["--config", str(self.path)]
        self._environment = environment or {}
        self._max_files = max_files
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]
        self._listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.log: list[str] = []
        self._logged = asyncio.Event()
        self.port = 0
        self.internal_port = 0
        self.said = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wsprism",
            *self._command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONWARNINGS": "error"} | self._environment,
            preexec_fn=self._limit_files if self._max_files else None,
        )
        self._reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self.port = await self._listening
        except BaseException:
            await self._end()
            raise
        return self

    def _limit_files(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._max_files, self._max_files))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    @property
    def internal_base(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self, timeout_s: float) -> int:
        """The exit code, within ``timeout_s``; all of the log has been read then."""
        async with asyncio.timeout(timeout_s):
            code = await self._process.wait()
            await self._reader
        return code

    async def logged(self, beginning: str, times: int = 1, within_s: float = START_TIMEOUT_S) -> None:
        """Wait until so many records begin like this."""
        async with asyncio.timeout(within_s):
            while sum(f'"message":"{beginning}' in line for line in self.log) < times:
                self._logged.clear()
                await self._logged.wait()

    def messages(self) -> list[dict[str, object]]:
        """The log so far, record by record."""
        return [json.loads(line) for line in self.log]

    async def _read(self) -> None:
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        out = asyncio.create_task(self._process.stdout.read())
        port = 0
        async for raw in self._process.stderr:
            line = raw.decode()
            self.log.append(line)
            self._logged.set()
            if found := re.search(r"active at .*:(\d+)", line):
                port = int(found[1])
            if found := re.search(r"Internal listener at .*:(\d+)", line):
                self.internal_port = int(found[1])
            if "Loaded configuration" in line and not self._listening.done():
                self._listening.set_result(port)
        self.said = (await out).decode()
        if not self._listening.done():
            self._listening.set_exception(RuntimeError("the gateway did not start:\n" + "".join(self.log)))
