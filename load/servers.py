"""Starts one server under test on a core of its own, waits until it serves, and always ends it, by pid.

Knows processes, ports and directories; what the process is comes from its peer.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from load.cpu import ProcessUse, use_of
from load.engine import Engine, running_engine
from load.peers.base import HOST, Options, Peer
from load.processes import ServerFailedError, stop
from load.shapes import Shape

__all__ = ["Node", "Server", "ServerFailedError", "free_port", "free_ports", "pin", "serve"]

_ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN_S = 45.0


@dataclass(frozen=True, slots=True)
class Node:
    """One process of a server, and where it listens."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: one process, or several ``nodes`` that share an ``engine``.

    ``backend_port``: of what stands behind it.
    """

    peer: Peer
    nodes: tuple[Node, ...]
    backend_port: int = 0
    engine: Engine | None = None

    @property
    def port(self) -> int:
        """Of the first node."""
        return self.nodes[0].port

    def use(self) -> ProcessUse:
        """CPU and memory of all its processes."""
        uses = [use_of(node.pid) for node in self.nodes]
        return ProcessUse(sum(use.cpu_s for use in uses), sum(use.rss_bytes for use in uses))


def free_ports(count: int) -> list[int]:
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
def _on_cores(cores: Collection[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES.intersection(cores) or before)
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


@contextlib.contextmanager
def serve(peer: Peer, *, core: int = 0, shape: Shape | None = None) -> Iterator[Server]:
    """A server of ``peer`` for the duration of the block, as ``shape`` wants it.

    One process is kept on ``core``, several use all. Raises ServerFailedError when it does not get ready.
    """
    hot_flush_ms, backend, count = (0, "", 0) if shape is None else (shape.hot_flush_ms, shape.backend, shape.nodes)
    with tempfile.TemporaryDirectory(prefix="wsprism-bench-") as name, contextlib.ExitStack() as stack:
        engine = stack.enter_context(running_engine(Path(name))) if count else None
        processes = []
        spare_port, backend_port, internal_port, *ports = free_ports(3 + max(count, 1))
        for number, port in enumerate(ports):
            directory = Path(name) / f"n{number}"
            directory.mkdir()
            options = Options(
                directory, port, spare_port, hot_flush_ms, backend, backend_port, internal_port,
                "" if engine is None else engine.url, f"n{number}",
            )  # fmt: skip
            if number == 0 and (companion := peer.companion(options)):
                stack.callback(stop, _start(companion, Path(name) / "companion.log"))
            with _on_cores({core} if count < 2 else _CORES):
                processes.append(_start(peer.command(options), directory / "output.log"))
            stack.callback(stop, processes[-1])
        for number, process in enumerate(processes):
            _await_ready(peer, ports[number], process, Path(name) / f"n{number}" / "output.log")
        nodes = tuple(Node(port, process.pid) for port, process in zip(ports, processes, strict=True))
        yield Server(peer, nodes, backend_port, engine)
        if processes[0].poll() is not None:
            raise ServerFailedError(peer.name, (Path(name) / "n0" / "output.log").read_text(errors="replace")[-2000:])
