"""The shapes that are no steady rate: idle connections, handshakes, and the search for the largest sustained rate.

Each returns one run's figures; ``bench`` calls ``run_shape``.
"""

from __future__ import annotations

import asyncio
import json
import time

from load.counting import Tally
from load.cpu import busy_s
from load.measure import Timing, gather_audiences, run_phase, run_steady
from load.peers.base import Member, http_get
from load.reap import reap
from load.rooms import history_memory, logging_in, presence, storm
from load.servers import Server
from load.shapes import Kind, Shape
from load.stats import Figures
from load.swarm import connect_all

__all__ = ["run_shape"]

_SETTLE_S = 1.0
_HANDSHAKES_PER_S = 2500
_HANDSHAKES_AT_MOST = 9000
_WARM_UP_HANDSHAKES = 300
_WAVES = 3
_CLIENTS_IN_WAVE = 8000
_GONE_WITHIN_S = 3.0
_STEP = 1.5
_REFINEMENTS = 3
_LARGEST_FACTOR = 80
_SUSTAINED_P99_MS = 1000.0
_GENERATOR_LIMIT = 0.97


async def run_shape(server: Server, shape: Shape, lane: str, timing: Timing) -> Figures:
    """The figures of one run of any shape."""
    match shape.kind:
        case Kind.STEADY:
            return await run_steady(server, shape, lane, timing)
        case Kind.IDLE:
            return await _idle(server, shape, lane, timing)
        case Kind.HANDSHAKES:
            return await _handshakes(server, lane, timing)
        case Kind.WAVES:
            return await _waves(server)
        case Kind.LARGEST:
            return await _largest(server, shape, lane, timing)
        case Kind.STORM:
            return await storm(server, shape, timing)
        case Kind.PRESENCE:
            return await presence(server, shape, timing)
        case Kind.HISTORIES:
            return await history_memory(server, timing)
        case Kind.PLAIN:
            return await _plain(server, timing)
        case Kind.REAP:
            return await reap(server, shape)


async def _idle(server: Server, shape: Shape, lane: str, timing: Timing) -> Figures:
    """Memory of each of many members that do nothing, and the CPU that they cost while they do it."""
    empty = server.use().rss_bytes
    audiences = await gather_audiences(server, shape, lane)
    connections = [connection for audience in audiences for connection in audience.connections]
    try:
        await asyncio.sleep(_SETTLE_S)
        first = server.use()
        started = time.monotonic()
        await asyncio.sleep(timing.window_s)
        last = server.use()
        return {
            "kib_per_connection": (last.rss_bytes - empty) / 1024 / len(connections),
            "cpu_share": (last.cpu_s - first.cpu_s) / (time.monotonic() - started),
            "disconnects": sum(connection.closed for connection in connections),
        }
    finally:
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0.1)


async def _handshakes(server: Server, lane: str, timing: Timing) -> Figures:  # noqa: ARG001 - before any lane
    """Connect, upgrade and authenticate as fast as the server answers, 64 at a time; connections stay open."""
    count = min(_HANDSHAKES_AT_MOST, int(timing.window_s * _HANDSHAKES_PER_S))
    members = [Member(number, "r0", "bench") for number in range(_WARM_UP_HANDSHAKES + count)]
    greetings = [(logging_in(server, member), Tally()) for member in members]
    connections = await connect_all(server.port, greetings[:_WARM_UP_HANDSHAKES])
    try:
        first, started, own, busy = server.use().cpu_s, time.monotonic(), time.process_time(), busy_s()
        connections += await connect_all(server.port, greetings[_WARM_UP_HANDSHAKES:])
        elapsed = time.monotonic() - started
        cpu_s, own_s, machine_s = server.use().cpu_s - first, time.process_time() - own, busy_s() - busy
        return {
            "handshakes_per_s": count / elapsed,
            "us_per_handshake": cpu_s / count * 1e6,
            "cpu_share": cpu_s / elapsed,
            "generator_cpu_share": own_s / elapsed,
            "elsewhere_cpu_share": max(0.0, machine_s - cpu_s - own_s) / elapsed,
        }
    finally:
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0.1)


async def _waves(server: Server) -> Figures:
    """All come, stay a moment and go, again and again: what a handshake of the last wave costs, the memory after it,
    and both beside the first's.
    """
    costs_us, memory_bytes, elapsed_s = [], [], 0.0
    for wave in range(_WAVES):
        members = [Member(wave * _CLIENTS_IN_WAVE + number, "r0", "bench") for number in range(_CLIENTS_IN_WAVE)]
        greetings = [(logging_in(server, member), Tally()) for member in members]
        first, started = server.use().cpu_s, time.monotonic()
        connections = await connect_all(server.port, greetings)
        costs_us.append((server.use().cpu_s - first) / _CLIENTS_IN_WAVE * 1e6)
        elapsed_s = time.monotonic() - started
        try:
            await asyncio.sleep(_SETTLE_S)
        finally:
            for connection in connections:
                connection.abort()
        await asyncio.sleep(_GONE_WITHIN_S)
        memory_bytes.append(server.use().rss_bytes)
    return {
        "handshakes_per_s": _CLIENTS_IN_WAVE / elapsed_s,
        "us_per_handshake": costs_us[-1],
        "us_of_first_wave": costs_us[0],
        "last_to_first": costs_us[-1] / costs_us[0],
        "rss_growth_mib": (memory_bytes[-1] - memory_bytes[0]) / 2**20,
    }


async def _plain(server: Server, timing: Timing) -> Figures:
    """The rate of a client that does nothing but call the backend, as the backend has counted it."""
    await asyncio.sleep(timing.warm_up_s)
    first, own, busy = server.use().cpu_s, time.process_time(), busy_s()
    asked, started = _asked(server), time.monotonic()
    await asyncio.sleep(timing.window_s)
    calls, elapsed = _asked(server) - asked, time.monotonic() - started
    cpu_s, own_s, machine_s = server.use().cpu_s - first, time.process_time() - own, busy_s() - busy
    return {
        "largest_per_s": calls / elapsed,
        "us_per_delivery": cpu_s / max(calls, 1) * 1e6,
        "cpu_share": cpu_s / elapsed,
        "backend_cpu_share": max(0.0, machine_s - cpu_s - own_s) / elapsed,
    }


def _asked(server: Server) -> int:
    status, text = http_get(server.backend_port, "/asked")
    if status != 200:
        raise OSError(f"the backend answers {status}")
    return int(json.loads(text)["calls"])


async def _largest(server: Server, shape: Shape, lane: str, timing: Timing) -> Figures:
    """Raise the rate by half until it is not sustained, then close in; the figures are those of the best rate."""
    audiences = await gather_audiences(server, shape, lane)
    step = Timing(min(timing.warm_up_s, 0.5), min(timing.window_s, 2.0))
    best: Figures = {"largest_per_s": 0.0}

    async def sustained(factor: float) -> bool:
        nonlocal best
        figures = await run_phase(server, audiences, step, factor)
        good = bool(figures["sustained"]) and figures.get("p99_ms", 0.0) < _SUSTAINED_P99_MS
        if good:
            best = figures | {"largest_per_s": figures["offered_per_s"]}
        best["generator_limited"] = float(figures["generator_cpu_share"] > _GENERATOR_LIMIT)
        return good

    try:
        low, high = 0.0, 1.0
        while high <= _LARGEST_FACTOR and await sustained(high):
            low, high = high, high * _STEP
        for _ in range(_REFINEMENTS if high <= _LARGEST_FACTOR else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if await sustained(middle) else (low, middle)
        return best
    finally:
        for audience in audiences:
            for connection in audience.connections:
                connection.abort()
        await asyncio.sleep(0.05)
