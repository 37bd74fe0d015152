"""The shape in which nodes die: what a crowd that is cleared away costs those who are on a node that lives.

The crowd's sockets belong to processes of their own (``python -m load.reap PORT FIRST COUNT``), for one process may not
have so many open files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from load.counting import Tally
from load.measure import gather_audiences
from load.peers import PEERS
from load.peers.base import Member, http_get
from load.prometheus import total_by_name
from load.publisher import Publisher
from load.servers import Server
from load.shapes import Shape
from load.stats import Figures, percentile
from load.swarm import Greeting, connect_all, now_us

__all__ = ["main", "reap"]

_CROWD = 10_000
"""Sessions of each node that dies."""
_MEMBERS = 20
_QUIET_S = 3.0
_DEATH_S = 4.0
"""Less than what is left of a lease: thousands of sockets close, and nothing is cleared away yet."""
_REAPED_WITHIN_S = 60.0
_STEP_S = 1.0
_REAPED = "wsprism_node_reaped_entries_total"


async def reap(server: Server, shape: Shape) -> Figures:
    """All nodes but the first are killed with their crowds; latencies are of echoes on the first meanwhile.

    Those of the death itself, when the machine closes all their sockets, are a figure of their own.
    """
    living = replace(server, nodes=server.nodes[:1])
    [beside] = await gather_audiences(living, shape, "ext")
    dying = server.nodes[1:]
    try:
        async with contextlib.AsyncExitStack() as stack:
            for number, node in enumerate(dying):
                await stack.enter_async_context(_crowd(node.port, 1000 + number * _CROWD))
            await asyncio.sleep(_QUIET_S)
            start_us = now_us() + 50_000
            until_us = start_us + int(_REAPED_WITHIN_S * 2e6)
            beside.tally.window(start_us, until_us)
            publisher = Publisher(beside.senders, beside.group, 1.0, start_us)
            try:
                for node in dying:
                    os.kill(node.pid, signal.SIGKILL)
                died = time.monotonic()
                await asyncio.sleep(_DEATH_S)
                death = _latencies(beside.tally)
                beside.tally.window(now_us(), until_us)
                figures = await _until_reaped(living, died)
            finally:
                publisher.close()
        return figures | _latencies(beside.tally) | {"death_lag_ms": death["lag_ms"]}
    finally:
        for connection in beside.connections:
            connection.abort()
        await asyncio.sleep(0.05)


async def _until_reaped(server: Server, began: float) -> Figures:
    """Until nothing more is cleared away; ``began`` is when the others died."""
    first = last = changed = 0.0
    reaped = 0.0
    looked, cpu_s = time.monotonic(), server.use().cpu_s
    while (elapsed := time.monotonic() - began) < _REAPED_WITHIN_S and (not reaped or elapsed - changed < _QUIET_S):
        await asyncio.sleep(_STEP_S)
        told = total_by_name((await asyncio.to_thread(http_get, server.port, "/metrics"))[1]).get(_REAPED, 0.0)
        if told != reaped:
            first = first or elapsed
            reaped, last, changed = told, time.monotonic() - began, time.monotonic() - began
    return {
        "reaped_entries": reaped,
        "reaping_s": last - first,
        "reaped_after_s": last,
        "cpu_share": (server.use().cpu_s - cpu_s) / (time.monotonic() - looked),
    }


def _latencies(tally: Tally) -> Figures:
    ordered = sorted(tally.latencies_us)
    if not ordered:
        return {}
    named = {f"{name}_ms": percentile(ordered, share) / 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    return named | {"p999_ms": percentile(ordered, 0.999) / 1000, "lag_ms": ordered[-1] / 1000}


@asynccontextmanager
async def _crowd(port: int, first: int) -> AsyncIterator[None]:
    """A process with so many members until the end of the block."""
    arguments = ["-m", "load.reap", str(port), str(first), str(_CROWD)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise OSError("the crowd could not connect")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _hold(port: int, first: int, count: int) -> None:
    peer = PEERS["wsprism"]
    members = [Member(number, f"r{number // _MEMBERS}", "bench") for number in range(first, first + count)]
    greetings = [(Greeting(peer.request(m, port), peer.subscribe(m, "ext"), peer.joined), Tally()) for m in members]
    connections = await connect_all(port, greetings)
    print(f"{len(connections)} are there", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Connect, say so in a line, and stay until a signal ends the process."""
    port, first, count = map(int, sys.argv[1:])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_hold(port, first, count))


if __name__ == "__main__":
    main()
