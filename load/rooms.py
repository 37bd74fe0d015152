"""The shapes of rooms that remember: a storm of clients that recover, presence in a crowd, what a history weighs.

Each returns one run's figures; ``special.run_shape`` calls them. Rooms are told apart by the beginning of their names,
as ``peers.wsprism`` configures them. Only the gateway has such rooms.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from load.client_frames import text_frame
from load.counting import MARK, Tally, plain_payload
from load.cpu import busy_s
from load.measure import Audience, Timing, gather_audiences
from load.peers.base import Member, http_get
from load.prometheus import total_by_name
from load.publisher import Publisher
from load.servers import Server
from load.shapes import Shape
from load.stats import Figures, percentile
from load.swarm import Connection, Greeting, connect_all, now_us

__all__ = ["history_memory", "logging_in", "presence", "storm"]

_SETTLE_S = 1.0
_FREED_S = 3.0
_NO_PROGRESS_S = 3.0
_LANE = "ext"

_STORM_PER_S = 1000
_STORM_WAVE_S = 0.1
_STORM_ROOMS = 100
_MISSED = 100

_MOVES_PER_S = 100

_HISTORY_ROOMS_PER_S = 1000
_HISTORY_MESSAGES = 100
_HISTORY_DATA_BYTES = 100
_ROUND_TEXT_BYTES = len('{"from":"user:u10","msg":""}')
"""What the chat service puts around a text."""
_HISTORY_PUBLISHERS = 20


@dataclass(frozen=True, slots=True)
class _Moment:
    at_s: float
    server_cpu_s: float
    own_cpu_s: float
    machine_cpu_s: float
    rss_bytes: int


def _moment(server: Server) -> _Moment:
    use = server.use()
    return _Moment(time.monotonic(), use.cpu_s, time.process_time(), busy_s(), use.rss_bytes)


def _between(first: _Moment, last: _Moment) -> Figures:
    elapsed = last.at_s - first.at_s
    cpu_s, own_s = last.server_cpu_s - first.server_cpu_s, last.own_cpu_s - first.own_cpu_s
    return {
        "cpu_share": cpu_s / elapsed,
        "generator_cpu_share": own_s / elapsed,
        "elsewhere_cpu_share": max(0.0, last.machine_cpu_s - first.machine_cpu_s - cpu_s - own_s) / elapsed,
        "rss_growth_mib": (last.rss_bytes - first.rss_bytes) / 2**20,
    }


@asynccontextmanager
async def _dropping(connections: list[Connection]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0.1)


def _join(room: str, **data: object) -> bytes:
    return text_frame(json.dumps({"v": 1, "svc": "room", "type": "join", "room": room, "data": data}).encode())


def _leave(room: str) -> bytes:
    return text_frame(json.dumps({"v": 1, "svc": "room", "type": "leave", "room": room}).encode())


def logging_in(server: Server, member: Member) -> Greeting:
    """What a member says to be let in."""
    peer = server.peer
    return Greeting(peer.request(member, server.port), peer.login(member), peer.logged_in)


def _totals(server: Server) -> dict[str, float]:
    return total_by_name(http_get(server.port, "/metrics")[1])


async def _arrived(tally: Tally, expected: int) -> None:
    """Until all is there, or nothing comes any more."""
    last, progressed = -1, time.monotonic()
    while tally.received < expected and time.monotonic() - progressed < _NO_PROGRESS_S:
        if tally.received != last:
            last, progressed = tally.received, time.monotonic()
        await asyncio.sleep(0.02)


# A storm of clients that recover


async def storm(server: Server, shape: Shape, timing: Timing) -> Figures:
    """1,000 clients a second come back over the window, each to what it missed; beside them a room that chats."""
    clients = int(timing.window_s * _STORM_PER_S)
    tally = Tally()
    [beside] = await gather_audiences(server, shape, _LANE)
    connections = [*beside.connections]
    async with _dropping(connections):
        positions = await _fill_rooms(server, connections)
        await asyncio.sleep(_SETTLE_S)
        before, first, start_us = _totals(server), _moment(server), now_us() + 50_000
        beside.tally.window(start_us, start_us + int(timing.window_s * 1e6))
        publisher = Publisher(beside.senders, beside.group, 1.0, start_us)
        try:
            connections += await _come_back(server, clients, positions, tally)
            await _arrived(tally, clients * _MISSED)
            last, after = _moment(server), _totals(server)
        finally:
            publisher.close()
        replayed = tally.received
        recovered = "wsprism_recoveries_total"
        figures = _between(first, last) | _latencies(beside)
        return figures | {
            "delivered_per_s": replayed / (last.at_s - first.at_s),
            "us_per_delivery": (last.server_cpu_s - first.server_cpu_s) / max(replayed, 1) * 1e6,
            "losses": clients * _MISSED - replayed,
            "loss_share": 1 - replayed / (clients * _MISSED),
            "recoveries": after.get(recovered, 0.0) - before.get(recovered, 0.0),
            "disconnects": sum(connection.closed for connection in connections),
        }


async def _fill_rooms(server: Server, connections: list[Connection]) -> list[tuple[str, dict[str, object]]]:
    """Rooms in which so much is published as everybody missed, and where those stood who missed it."""
    peer, tally, positions = server.peer, Tally(), []
    for number in range(_STORM_ROOMS):
        member = Member(1_000_000 + number, f"history-{number}", "bench")
        epochs: list[str] = []

        def joined(received: bytes, epochs: list[str] = epochs) -> bool:
            found = re.search(rb'"joined".*"epoch":"([^"]+)"', received)
            epochs.extend([found[1].decode()] if found else [])
            return found is not None

        greeting = Greeting(peer.request(member, server.port), peer.subscribe(member, _LANE), joined)
        [connection] = await connect_all(server.port, [(greeting, tally)])
        connections.append(connection)
        connection.send(peer.publish(member, plain_payload(), _LANE) * _MISSED)
        positions.append((member.room, {"epoch": epochs[0], "offset": 0}))
    await _arrived(tally, _STORM_ROOMS * _MISSED)
    return positions


async def _come_back(
    server: Server, clients: int, positions: Sequence[tuple[str, dict[str, object]]], tally: Tally
) -> list[Connection]:
    hellos = [_join(room, since=since) for room, since in positions]
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def wave(place: int, numbers: Sequence[int]) -> list[Connection]:
        await asyncio.sleep(max(0.0, started + place * _STORM_WAVE_S - loop.time()))
        members = [Member(number, "", "bench") for number in numbers]
        back = await connect_all(server.port, [(logging_in(server, member), tally) for member in members])
        for number, connection in zip(numbers, back, strict=True):
            connection.send(hellos[number % len(hellos)])
        return back

    size = int(_STORM_PER_S * _STORM_WAVE_S)
    waves = [range(clients)[at : at + size] for at in range(0, clients, size)]
    found = await asyncio.gather(*(wave(place, numbers) for place, numbers in enumerate(waves)))
    return [connection for one in found for connection in one]


def _latencies(beside: Audience) -> Figures:
    ordered = sorted(beside.tally.latencies_us)
    if not ordered:
        return {}
    return {
        f"neighbour_{name}": percentile(ordered, share) / 1000 for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }


# Presence in a crowd


async def presence(server: Server, shape: Shape, timing: Timing) -> Figures:
    """Everybody in the room is told who is there, while others join and leave, each once a second."""
    [group] = shape.groups
    room, peer = "present-0", server.peer
    crowd = [Member(number, room, "bench") for number in range(group.members)]
    hello = _join(room, presence=True)
    greetings = [(Greeting(peer.request(one, server.port), hello, peer.joined), Tally()) for one in crowd]
    connections = await connect_all(server.port, greetings)
    async with _dropping(connections):
        movers = [Member(group.members + number, room, "bench") for number in range(_MOVES_PER_S)]
        moving = await connect_all(server.port, [(logging_in(server, one), Tally()) for one in movers])
        connections += moving
        move = asyncio.create_task(_move(moving, _join(room), _leave(room)))
        try:
            await asyncio.sleep(timing.warm_up_s + _SETTLE_S)
            before, first = _diffs(server), _moment(server)
            await asyncio.sleep(timing.window_s)
            told, last = _diffs(server) - before, _moment(server)
        finally:
            move.cancel()
        return _between(first, last) | {
            "diffs_per_s": told / (last.at_s - first.at_s) / group.members,
            "disconnects": sum(connection.closed for connection in connections),
        }


async def _move(connections: Sequence[Connection], join: bytes, leave: bytes) -> None:
    loop = asyncio.get_running_loop()
    started, here, number = loop.time(), [False] * len(connections), 0
    while True:
        at = number // 2 % len(connections)
        connections[at].send(leave if here[at] else join)
        here[at] = not here[at]
        number += 1
        await asyncio.sleep(max(0.0, started + number / (2 * _MOVES_PER_S) - loop.time()))


def _diffs(server: Server) -> float:
    return _totals(server).get("wsprism_presence_diffs_total", 0.0)


# What a history weighs


async def history_memory(server: Server, timing: Timing) -> Figures:
    """Memory of rooms in which something is kept and nobody is: 1,000 rooms for each second of the window."""
    rooms = int(timing.window_s * _HISTORY_ROOMS_PER_S)
    payload = b"." * (_HISTORY_DATA_BYTES - _ROUND_TEXT_BYTES - len(MARK)) + MARK
    await _publish_and_leave(server, range(rooms, rooms + _HISTORY_PUBLISHERS), payload)  # what is made once is there
    await asyncio.sleep(_FREED_S)
    before, first = _totals(server), _moment(server)
    await _publish_and_leave(server, range(rooms), payload)
    await asyncio.sleep(_FREED_S)
    last, after = _moment(server), _totals(server)
    kept = after.get("wsprism_histories", 0.0) - before.get("wsprism_histories", 0.0)
    messages = kept * _HISTORY_MESSAGES
    return {
        "messages_kept": messages,
        "bytes_per_message": (last.rss_bytes - first.rss_bytes) / max(messages, 1),
        "frame_bytes_per_message": (after["wsprism_history_bytes"] - before["wsprism_history_bytes"])
        / max(messages, 1),
        "losses": rooms * _HISTORY_MESSAGES - messages,
        "loss_share": 1 - messages / (rooms * _HISTORY_MESSAGES),
        "rss_mib": last.rss_bytes / 2**20,
    }


async def _publish_and_leave(server: Server, rooms: Sequence[int], payload: bytes) -> None:
    """Each room's publications go out at once, from a member that hears them all and leaves then."""
    peer = server.peer
    tallies = [Tally() for _ in range(_HISTORY_PUBLISHERS)]
    members = [Member(number, "", "bench") for number in range(_HISTORY_PUBLISHERS)]
    greetings = [(logging_in(server, one), tally) for one, tally in zip(members, tallies, strict=True)]
    connections = await connect_all(server.port, greetings)

    async def publish(place: int) -> None:
        connection, tally = connections[place], tallies[place]
        for number in rooms[place::_HISTORY_PUBLISHERS]:
            member = Member(place, f"history-{number}", "bench")
            messages = peer.publish(member, payload, _LANE) * _HISTORY_MESSAGES
            connection.send(peer.subscribe(member, _LANE) + messages)
            await _arrived(tally, tally.received + _HISTORY_MESSAGES)
            connection.send(_leave(member.room))

    async with _dropping(connections):
        await asyncio.gather(*(publish(place) for place in range(_HISTORY_PUBLISHERS)))
