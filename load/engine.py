"""The Redis that the nodes of a shape share: started for it, on a Unix socket, and what it has used."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load.cpu import use_of
from load.processes import ServerFailedError, stop
from load.stats import Figures

__all__ = ["Engine", "EngineUse", "parse_calls", "running_engine"]

_NAMES: Final = ("redis-server", "valkey-server")
_ACCEPTS_WITHIN_S: Final = 10.0
_ANSWERS_WITHIN_S: Final = 5.0
_SCRIPTS: Final = ("eval", "evalsha", "fcall")


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What it has used so far: processor time, and script calls (each a turn of a room, or one question)."""

    cpu_s: float
    calls: int
    script_s: float

    def since(self, first: EngineUse, elapsed_s: float) -> Figures:
        """Between ``first`` and this; ``redis_script_us`` is its own account of a call."""
        calls = max(self.calls - first.calls, 1)
        cpu_s = self.cpu_s - first.cpu_s
        return {
            "redis_cpu_share": cpu_s / elapsed_s,
            "redis_turns_per_s": calls / elapsed_s,
            "redis_us_per_turn": cpu_s / calls * 1e6,
            "redis_script_us": (self.script_s - first.script_s) / calls * 1e6,
        }


@dataclass(frozen=True, slots=True)
class Engine:
    """A running one."""

    path: Path
    pid: int

    @property
    def url(self) -> str:
        """As ``gateway.broker.url`` wants it."""
        return f"unix://{self.path}"

    def use(self) -> EngineUse:
        """Raises OSError when it does not answer."""
        calls, script_s = parse_calls(self._told("INFO commandstats"))
        return EngineUse(use_of(self.pid).cpu_s, calls, script_s)

    def _told(self, command: str) -> str:
        """The answer to a command whose answer is one string."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_ANSWERS_WITHIN_S)
            link.connect(str(self.path))
            link.sendall(f"{command}\r\n".encode())
            with link.makefile("rb") as answer:
                head = answer.readline()
                if not head.startswith(b"$"):
                    raise OSError(f"Redis answers {head!r}")
                return answer.read(int(head[1:])).decode()


def parse_calls(info: str) -> tuple[int, float]:
    """Scripts that were called, and seconds in them, out of ``INFO commandstats``."""
    calls, spent_us = 0, 0
    for line in info.splitlines():
        name, _, rest = line.removeprefix("cmdstat_").partition(":")
        if name in _SCRIPTS:
            fields = dict(field.split("=", 1) for field in rest.split(","))
            calls += int(fields["calls"])
            spent_us += int(fields["usec"])
    return calls, spent_us / 1e6


@contextlib.contextmanager
def running_engine(directory: Path) -> Iterator[Engine]:
    """A Redis or Valkey with nothing in it. Raises ServerFailedError where there is none, or it does not start."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        raise ServerFailedError("Redis", "redis-server is not installed: apt-get install redis-server")
    path, log = directory / "redis.sock", directory / "redis.log"
    options = ["--port", "0", "--unixsocket", str(path), "--dir", str(directory), "--save", "", "--daemonize", "no"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        until = time.monotonic() + _ACCEPTS_WITHIN_S
        while not path.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise ServerFailedError("Redis", log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)
        yield Engine(path, process.pid)
    finally:
        stop(process)
