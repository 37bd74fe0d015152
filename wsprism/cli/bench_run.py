"""The clients of ``wsprism bench``: one room, one publisher, an open loop; every delivery's latency is kept."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from wsprism.cli.access import Access, open_socket
from wsprism.errors import OperatorError
from wsprism.protocol.hot import Framing, HotFrame, decode_delivery, encode_hot

__all__ = ["Figures", "Load", "measure"]

_STAMP_BYTES = 8
_STAMP_CHARACTERS = 20
_ANSWER_TIMEOUT_S = 10.0
_SETTLE_S = 2.0
_OWN_FRAME_S = 0.2
"""How much later than everybody else the sender of a hot frame may get its own."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is published."""

    rate_per_s: int
    seconds: int
    lane: str
    hot_service: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it. ``refusal`` is the first ``sys.error``, or how a connection was closed."""

    published: int
    delivered: int
    lost: int
    delivered_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refusal: str | None


@dataclass(slots=True)
class _Tally:
    framing: Framing
    latencies_ns: list[int] = field(default_factory=list)
    probed: set[int] = field(default_factory=set)
    refusal: str | None = None


async def measure(accesses: Sequence[Access], load: Load) -> Figures:
    """One client for each access. Raises OperatorError when one is not let in, or may not join."""
    tally = _Tally(accesses[0].framing)
    room = f"bench:{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(access)) for access in accesses]
        for socket in sockets:
            await _join(socket, room)
        readers = [asyncio.ensure_future(_read(number, socket, tally)) for number, socket in enumerate(sockets)]
        try:
            receivers = len(sockets)
            if load.lane == "hot" and not await _gets_its_own(sockets, load, tally):
                receivers -= 1
            published, elapsed_s = await _publish(sockets[0], load, tally)
            expected = published * receivers
            deadline_s = time.monotonic() + _SETTLE_S
            while len(tally.latencies_ns) < expected and time.monotonic() < deadline_s:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.wait(readers)
    ordered = sorted(tally.latencies_ns) or [0]
    return Figures(
        published=published,
        delivered=len(tally.latencies_ns),
        lost=expected - len(tally.latencies_ns),
        delivered_per_s=len(tally.latencies_ns) / elapsed_s,
        p50_ms=ordered[len(ordered) // 2] / 1e6,
        p99_ms=ordered[len(ordered) * 99 // 100] / 1e6,
        max_ms=ordered[-1] / 1e6,
        refusal=tally.refusal,
    )


async def _join(socket: aiohttp.ClientWebSocketResponse, room: str) -> None:
    await socket.send_json({"v": 1, "svc": "room", "type": "join", "room": room})
    while True:
        frame = await socket.receive(_ANSWER_TIMEOUT_S)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise OperatorError(f"a client was closed with {socket.close_code}: {frame.extra or 'no reason'}")
        message = json.loads(frame.data)
        if message["type"] == "joined":
            return
        if message["type"] != "authed":
            raise OperatorError(f"a client may not join: {_told(message)}")


async def _gets_its_own(sockets: Sequence[aiohttp.ClientWebSocketResponse], load: Load, tally: _Tally) -> bool:
    """Whether the service sends a hot frame back to its sender: a first one shows it.

    Raises OperatorError when that reaches nobody.
    """
    probe = encode_hot(load.hot_service, 1, bytes(_STAMP_BYTES), framing=tally.framing)
    await sockets[0].send_bytes(probe)
    deadline_s = time.monotonic() + _SETTLE_S
    others = set(range(1, len(sockets)))
    while tally.refusal is None and time.monotonic() < deadline_s:
        if 0 in tally.probed:
            return True
        if others and others <= tally.probed:
            deadline_s = min(deadline_s, time.monotonic() + _OWN_FRAME_S)
            others = set()
        await asyncio.sleep(0.01)
    if not tally.probed and tally.refusal is None:
        nobody = "; a service that leaves the sender out wants --clients 2" if len(sockets) == 1 else ""
        raise OperatorError(f"a frame of hot service {load.hot_service} reaches nobody{nobody}")
    return False


async def _publish(socket: aiohttp.ClientWebSocketResponse, load: Load, tally: _Tally) -> tuple[int, float]:
    """Each message at its time, which stands in it: a late one counts as late. Returns how many, and in how long."""
    started_ns = time.perf_counter_ns()
    published = 0
    for number in range(load.rate_per_s * load.seconds):
        due_ns = started_ns + number * 1_000_000_000 // load.rate_per_s
        await asyncio.sleep(max(0, due_ns - time.perf_counter_ns()) / 1e9)
        if socket.closed or tally.refusal is not None:
            break
        if load.lane == "hot":
            payload = due_ns.to_bytes(_STAMP_BYTES, "big").ljust(load.payload_bytes, b".")
            await socket.send_bytes(encode_hot(load.hot_service, 1, payload, framing=tally.framing))
        else:
            text = f"{due_ns:0{_STAMP_CHARACTERS}}".ljust(load.payload_bytes, ".")
            await socket.send_json({"v": 1, "svc": "chat", "type": "send", "data": {"msg": text}})
        published += 1
    return published, (time.perf_counter_ns() - started_ns) / 1e9


async def _read(number: int, socket: aiohttp.ClientWebSocketResponse, tally: _Tally) -> None:
    while True:
        frame = await socket.receive()
        now_ns = time.perf_counter_ns()
        match frame.type:
            case aiohttp.WSMsgType.BINARY:
                hot = decode_delivery(frame.data, tally.framing)
                if not isinstance(hot, HotFrame):
                    continue
                due_ns = int.from_bytes(hot.payload[:_STAMP_BYTES], "big")
                if due_ns == 0:
                    tally.probed.add(number)
                else:
                    tally.latencies_ns.append(now_ns - due_ns)
            case aiohttp.WSMsgType.TEXT:
                message = json.loads(frame.data)
                if message["svc"] == "chat":
                    tally.latencies_ns.append(now_ns - int(message["data"]["msg"][:_STAMP_CHARACTERS]))
                elif message["type"] == "error":
                    tally.refusal = tally.refusal or _told(message)
            case _:
                tally.refusal = tally.refusal or f"a connection was closed with {socket.close_code}"
                return


def _told(message: dict[str, Any]) -> str:
    data = message.get("data", {})
    return f"{data.get('code')}: {data.get('msg')}"
