"""Starts one server under test on a core of its own, waits until it serves, and always ends it, by pid.

Knows processes, ports and directories; what the process is comes from its peer.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from load.cpu import ProcessUse, use_of
from load.peers.base import HOST, Options, Peer

__all__ = ["Server", "ServerFailedError", "free_port", "pin", "serve"]

_ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN_S = 15.0
_STOP_WITHIN_S = 5.0


class ServerFailedError(Exception):
    """A server did not start, or ended by itself. ``output`` is the end of what it printed."""

    def __init__(self, name: str, output: str) -> None:
        super().__init__(name, output)
        self.name = name
        self.output = output

    def __str__(self) -> str:
        return f"{self.name} does not run:\n{self.output}"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``backend_port``: of what stands behind it."""

    peer: Peer
    port: int
    pid: int
    backend_port: int = 0

    def use(self) -> ProcessUse:
        """CPU and memory of all its processes."""
        return use_of(self.pid)


def _free_ports(count: int) -> list[int]:
    """Different ones, each held until all are found."""
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            ports.append(free_port())
            held.enter_context(socket.create_server((HOST, ports[-1])))
        return ports


def free_port() -> int:
    """A loopback port that nobody listens on now, below the range that outgoing connections take theirs from."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(lowest - 1 - os.getpid() % 5000, 1024, -1):
        with contextlib.suppress(OSError), socket.create_server((HOST, port), reuse_port=False):
            return port
    raise OSError("no free port")


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, on ``core`` where the machine has it."""
    if core in _CORES:
        os.sched_setaffinity(0, {core})


_CORES = frozenset(os.sched_getaffinity(0))


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _await_ready(peer: Peer, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if peer.ready(port):
                return
        time.sleep(0.05)
    raise ServerFailedError(peer.name, log.read_text(errors="replace")[-2000:])


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to the process's own session if it does not end in time."""
    process.terminate()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def serve(peer: Peer, *, core: int = 0, hot_flush_ms: int = 0, backend: str = "") -> Iterator[Server]:
    """A server of ``peer`` for the duration of the block. Raises ServerFailedError when it does not get ready."""
    with tempfile.TemporaryDirectory(prefix="wsprism-bench-") as name:
        directory = Path(name)
        port, spare_port, backend_port, internal_port = _free_ports(4)
        options = Options(directory, port, spare_port, hot_flush_ms, backend, backend_port, internal_port)
        log = directory / "output.log"
        with contextlib.ExitStack() as stack:
            companion = peer.companion(options)
            if companion:
                stack.callback(_stop, _start(companion, directory / "companion.log"))
            with _on_core(core):
                process = _start(peer.command(options), log)
            stack.callback(_stop, process)
            _await_ready(peer, port, process, log)
            yield Server(peer, port, process.pid, backend_port)
            if process.poll() is not None:
                raise ServerFailedError(peer.name, log.read_text(errors="replace")[-2000:])
