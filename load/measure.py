"""Drives one steady shape against one running server and turns what happened into figures.

A phase is warm-up, window and drain. CPU, rate and latencies are of the window only; losses are of the whole phase,
after everything had time to arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from load.counting import Tally
from load.cpu import busy_s
from load.engine import EngineUse
from load.peers.base import Member
from load.publisher import Publisher, Sender
from load.servers import Server
from load.shapes import Group, Shape
from load.stats import Figures, percentile
from load.swarm import Connection, Greeting, connect_all, now_us

__all__ = ["Audience", "Timing", "accounts", "gather_audiences", "run_phase", "run_steady"]

_SETTLE_S = 0.5
_NO_PROGRESS_S = 1.0
_DRAIN_AT_MOST_S = 10.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to load, in seconds."""

    warm_up_s: float
    window_s: float


@dataclass(slots=True)
class Audience:
    """One group's connections, those that publish, and what they all received."""

    group: Group
    connections: list[Connection]
    senders: list[Sender]
    tally: Tally


def _members(group: Group, first_number: int) -> Iterator[tuple[Member, bool, bool]]:
    """Every member with whether it publishes and whether it is stalled."""
    number = first_number
    for room in range(group.rooms):
        for place in range(group.members):
            yield Member(number, f"{group.room}{room}", group.tenant, group.says), place < group.senders, False
            number += 1
    for _ in range(group.stalled):
        yield Member(number, f"{group.room}0", group.tenant), False, True
        number += 1


async def gather_audiences(server: Server, shape: Shape, lane: str) -> list[Audience]:
    """Connect and join everybody of the shape. Raises what ``connect_all`` raises."""
    audiences = []
    first_number = 0
    peer = server.peer
    for group in shape.groups:
        tally = Tally()
        members = list(_members(group, first_number))
        first_number += len(members)
        greetings = [
            (
                Greeting(
                    peer.request(m, server.port), peer.subscribe(m, lane), peer.joined, stalled, _port(server, group, m)
                ),
                Tally() if stalled else tally,
            )
            for m, _, stalled in members
        ]
        connections = await connect_all(server.port, greetings)
        senders = [
            Sender(connection, peer, member, lane, group.burst)
            for connection, (member, publishes, _) in zip(connections, members, strict=True)
            if publishes
        ]
        audiences.append(Audience(group, connections, senders, tally))
    return audiences


def _port(server: Server, group: Group, member: Member) -> int:
    place = int(member.room.removeprefix(group.room)) if group.pinned else member.number
    return server.nodes[place % len(server.nodes)].port


def accounts(server: Server) -> dict[str, float]:
    """The server's own account, of all its nodes, or nothing when one does not answer."""
    told: Counter[str] = Counter()
    with contextlib.suppress(OSError, http.client.HTTPException):
        for node in server.nodes:
            told.update(server.peer.accounting(node.port))
        return dict(told)
    return {}


@dataclass(frozen=True, slots=True)
class _Moment:
    server_cpu_s: float
    own_cpu_s: float
    machine_cpu_s: float
    rss_bytes: int
    received: tuple[int, ...]
    at_s: float
    engine: EngineUse | None


def _moment(server: Server, audiences: Sequence[Audience]) -> _Moment:
    use = server.use()
    received = tuple(audience.tally.received for audience in audiences)
    engine = None if server.engine is None else server.engine.use()
    return _Moment(use.cpu_s, time.process_time(), busy_s(), use.rss_bytes, received, time.monotonic(), engine)


async def _sleep_until_us(target_us: int) -> None:
    await asyncio.sleep(max(0.0, (target_us - now_us()) / 1e6))


async def _drain(audiences: Sequence[Audience], expected: int, base: int) -> None:
    started = progressed = time.monotonic()
    last = -1
    while (now := time.monotonic()) - started < _DRAIN_AT_MOST_S and now - progressed < _NO_PROGRESS_S:
        received = sum(audience.tally.received for audience in audiences) - base
        if received >= expected:
            return
        if received != last:
            last, progressed = received, now
        await asyncio.sleep(0.02)


async def run_phase(server: Server, audiences: Sequence[Audience], timing: Timing, factor: float = 1.0) -> Figures:
    """Publish at the groups' rates times ``factor``; every figure of the window, and losses of the phase."""
    before = accounts(server)
    base = [audience.tally.received for audience in audiences]
    start_us = now_us() + 50_000
    since_us = start_us + int(timing.warm_up_s * 1e6)
    until_us = since_us + int(timing.window_s * 1e6)
    publishers = []
    for audience in audiences:
        audience.tally.window(since_us, until_us)
        publishers.append(Publisher(audience.senders, audience.group, factor, start_us))
    try:
        await _sleep_until_us(since_us)
        first = _moment(server, audiences)
        await _sleep_until_us(until_us)
        last = _moment(server, audiences)
    finally:
        for publisher in publishers:
            publisher.close()
    expected = sum(a.group.expected(p.sent) for p, a in zip(publishers, audiences, strict=True))
    await _drain(audiences, expected, sum(base))
    received = sum(audience.tally.received for audience in audiences) - sum(base)
    offered_per_s = sum(audience.group.deliveries_per_s for audience in audiences) * factor
    figures = _figures(first, last, audiences, offered_per_s)
    if first.engine is not None and last.engine is not None:
        figures |= last.engine.since(first.engine, last.at_s - first.at_s)
        figures["elsewhere_cpu_share"] = max(0.0, figures["elsewhere_cpu_share"] - figures["redis_cpu_share"])
        cores = min(len(server.nodes), os.cpu_count() or 1)
        figures["carried_per_s"] = figures["delivered_per_s"] / figures["cpu_share"] * cores
    figures["losses"] = max(0, expected - received) if _states(audiences) else expected - received
    figures["loss_share"] = figures["losses"] / max(expected, 1)
    figures["late_send_ms"] = max(publisher.latest_us for publisher in publishers) / 1000
    figures["disconnects"] = sum(c.closed for audience in audiences for c in audience.connections)
    figures["sustained"] = float(figures["delivered_per_s"] >= 0.98 * offered_per_s and figures["loss_share"] < 0.001)
    told = _accounted(before, accounts(server), figures["losses"])
    if any(audience.group.stalled or audience.group.says != "chat" for audience in audiences):
        told.pop("unaccounted", None)
    if audiences[0].group.says == "ask" and "neighbour_p50_ms" in figures and "p50_ms" in figures:
        figures["added_p50_ms"] = figures["p50_ms"] - figures["neighbour_p50_ms"]
    return figures | told


def _states(audiences: Sequence[Audience]) -> bool:
    """Whether what is delivered is states: a round that has begun may bring some more than expected."""
    return any(audience.group.says == "input" for audience in audiences)


def _figures(first: _Moment, last: _Moment, audiences: Sequence[Audience], offered_per_s: float) -> Figures:
    elapsed = last.at_s - first.at_s
    delivered = sum(last.received) - sum(first.received)
    cpu_s = last.server_cpu_s - first.server_cpu_s
    own_s = last.own_cpu_s - first.own_cpu_s
    figures: Figures = {
        "offered_per_s": offered_per_s,
        "delivered_per_s": delivered / elapsed,
        "cpu_share": cpu_s / elapsed,
        "generator_cpu_share": own_s / elapsed,
        "elsewhere_cpu_share": max(0.0, last.machine_cpu_s - first.machine_cpu_s - cpu_s - own_s) / elapsed,
        "rss_mib": last.rss_bytes / 2**20,
        "rss_growth_mib": (last.rss_bytes - first.rss_bytes) / 2**20,
    }
    if delivered:
        figures["us_per_delivery"] = cpu_s / delivered * 1e6
    for prefix, audience in zip(("", "neighbour_"), audiences, strict=False):
        ordered = sorted(audience.tally.latencies_us)
        if ordered:
            for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)):
                figures[prefix + name] = percentile(ordered, share) / 1000
            figures[prefix + "samples"] = len(ordered)
    return figures


def _accounted(before: dict[str, float], after: dict[str, float], losses: float) -> Figures:
    """The server's own account of the phase; ``unaccounted`` is what is missing here and it does not tell of."""
    told: Figures = {f"told_{name}": after[name] - before.get(name, 0.0) for name in after}
    reasons = [told[name] for name in ("told_dropped", "told_conflated", "told_discarded") if name in told]
    if reasons:
        told["unaccounted"] = losses - sum(reasons)
    return told


async def run_steady(server: Server, shape: Shape, lane: str, timing: Timing) -> Figures:
    """Connect the shape's groups and run one phase; adds memory for each connection."""
    empty = server.use().rss_bytes
    audiences = await gather_audiences(server, shape, lane)
    connections = [connection for audience in audiences for connection in audience.connections]
    try:
        await asyncio.sleep(_SETTLE_S)
        joined = server.use().rss_bytes
        figures = await run_phase(server, audiences, timing)
        figures["kib_per_connection"] = (joined - empty) / 1024 / len(connections)
        return figures
    finally:
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0.05)
