"""What an idle connection costs in memory, of the process and of the kernel: ``python -m load.connection_memory``.

Opens connections over the loopback to a gateway of its own, each a member of a room of ten, and compares before and
after. The kernel's part is halved, for both ends of each connection are on this machine. docs/deployment.md has the
figures.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load.peers.base import HOST, Member
from load.peers.wsprism import WsPrism
from load.servers import Server, serve

__all__ = ["main"]

_WARM_UP = 200
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes in use."""

    process: int
    kernel: int


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line; exit code 0."""
    parser = argparse.ArgumentParser(description="Memory of an idle connection.")
    parser.add_argument("--connections", type=int, default=4000)
    wanted = parser.parse_args(argv).connections
    peer = WsPrism()
    with serve(peer) as server:
        opened = [_open(peer, server, number) for number in range(_WARM_UP)]
        before = _settled(server)
        opened += [_open(peer, server, number) for number in range(_WARM_UP, _WARM_UP + wanted)]
        after = _settled(server)
        for one in opened:
            one.close()
    process = (after.process - before.process) / wanted / 1024
    kernel = (after.kernel - before.kernel) / wanted / 1024 / 2
    print(f"{wanted} idle connections: {process:.1f} KiB each in the process, {kernel:.1f} KiB each in the kernel")
    return 0


def _open(peer: WsPrism, server: Server, number: int) -> socket.socket:
    member = Member(number=number, tenant="bench", room=f"r{number // 10}")
    connection = socket.create_connection((HOST, server.port))
    connection.sendall(peer.request(member, server.port))
    _read_until(connection, b'"authed"')
    connection.sendall(peer.subscribe(member, "ext"))
    _read_until(connection, b'"joined"')
    return connection


def _read_until(connection: socket.socket, mark: bytes) -> None:
    received = b""
    while mark not in received:
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionError(f"closed before {mark!r}: {received!r}")
        received += chunk


def _settled(server: Server) -> Sample:
    time.sleep(SETTLE_S)
    slab = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Slab:"))
    return Sample(server.use().rss_bytes, int(slab.split()[1]) * 1024)


if __name__ == "__main__":
    sys.exit(main())
