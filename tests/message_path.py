"""What a message costs from its connection to its room's members, without sockets: ``python -m tests.message_path``.

Microseconds of processor time for one message that comes alone, least of many rounds: a number that a busy machine
hardly moves, so that two states of the message path can be compared. ``load.bench`` measures the gateway.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tests.realtime_support import FakeTransport, Peer, World

__all__ = ["main"]

_MESSAGES = 3_000
_ROUNDS = 15

_CHAT = '{"v":1,"svc":"chat","type":"send","data":{"msg":"hello everybody there"}}'
_HOT = b"\x01\x01\x00deadbeef1234"


class _Sink(FakeTransport):
    def write(self, data: bytes) -> None:
        pass


async def _crowd(world: World, room: str, size: int) -> list[Peer]:
    peers = []
    for number in range(size):
        peer = await world.connect(f"{room}-{number}")
        peer.join(room)
        peer.outlet.transport = _Sink(peer.outlet)
        peers.append(peer)
    return peers


def _least_us(world: World, sender: Peer, message: Any) -> float:
    deliver, scheduler = sender.session.connection.deliver, world.scheduler
    least_s = float("inf")
    for _ in range(_ROUNDS):
        began_s = time.process_time()
        for _ in range(_MESSAGES):
            deliver([message])
            scheduler.run_until_idle()
        least_s = min(least_s, (time.process_time() - began_s) / _MESSAGES)
    return least_s * 1e6


async def _measure() -> None:
    world = World(policy={"rate_limit_burst": 10**9})
    for name, size, message in (
        ("chat, room of 1", 1, _CHAT),
        ("chat, room of 2", 2, _CHAT),
        ("chat, room of 10", 10, _CHAT),
        ("hot echo, room of 2", 2, _HOT),
    ):
        peers = await _crowd(world, name.replace(" ", "-").replace(",", ""), size)
        print(f"{name:24}{_least_us(world, peers[0], message):8.2f} µs", flush=True)


def main() -> int:
    """Print one line for each case."""
    asyncio.run(_measure())
    return 0


if __name__ == "__main__":
    sys.exit(main())
