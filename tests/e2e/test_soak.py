"""Many connections on both lanes for a while: nothing lost, the account exact, memory flat, a clean exit.

A short run by default; ``WSPRISM_SOAK=1000x30`` is connections and seconds of the long one.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.client import until
from tests.process import GatewayCommand
from tests.raw import client_frame, handshake

pytestmark = pytest.mark.alone

CONNECTIONS, SECONDS = (int(part) for part in os.environ.get("WSPRISM_SOAK", "200x4").split("x"))
ROOMS = 10
ROUNDS_PER_S = 5
CONFIG = """
version: 1
gateway: {listen: "127.0.0.1:0", drain_grace_ms: 5000}
tenants:
  - id: acme
    auth: {kind: dev}
    policy:
      ext_allowlist: ["room:*", "chat:send"]
      hot_allowlist: ["1:*"]
"""
CHAT_MARK, HOT_MARK = b"~chat~", b"~hot~"


class Counting(asyncio.Protocol):
    """Counts marks in the byte stream; answers a Close with a Close."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._tail = b""
        self.chats = 0
        self.hots = 0
        self.joined = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        join = b'{"v":1,"svc":"room","type":"join","room":"room-%d"}' % (self._number % ROOMS)
        transport.write(handshake(f"dev:u{self._number}").encode() + client_frame(join))

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        self.chats += data.count(CHAT_MARK)
        self.hots += data.count(HOT_MARK)
        if not self.joined.done() and b'"joined"' in data:
            self.joined.set_result(None)
        if b'"draining"' in data:
            self.transport.write(client_frame((1001).to_bytes(2, "big"), opcode=8))
        keep = max(len(CHAT_MARK), len(HOT_MARK)) - 1
        self._tail = b"" if data.endswith((CHAT_MARK, HOT_MARK)) else data[-keep:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.ended.set_result(None)


def rss_kib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


async def metrics(base: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(base + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def check_account(figures: dict[str, float]) -> None:
    for lane in ("control", "reliable", "hot"):
        labels = f'{{class="{lane}",tenant="acme"}}'
        offered = figures[f"wsprism_queue_offered_total{labels}"]
        names = ("sent", "dropped", "conflated", "discarded")
        gone = sum(figures[f"wsprism_queue_{name}_total{labels}"] for name in names)
        assert offered == gone + figures[f"wsprism_queue_depth{labels}"]


async def connect_all(port: int) -> list[Counting]:
    loop = asyncio.get_running_loop()
    peers: list[Counting] = []
    for first in range(0, CONNECTIONS, 50):
        group = range(first, min(first + 50, CONNECTIONS))
        made = [loop.create_connection(lambda n=number: Counting(n), "127.0.0.1", port) for number in group]  # type: ignore[misc]
        peers += [peer for _, peer in await asyncio.gather(*made)]
        await asyncio.gather(*(peer.joined for peer in peers[first:]))
    return peers


async def test_both_lanes_under_load_lose_nothing_and_end_cleanly(tmp_path: Path) -> None:
    async with GatewayCommand(CONFIG, tmp_path) as gateway:
        peers = await connect_all(gateway.port)
        chat = client_frame(b'{"v":1,"svc":"chat","type":"send","data":{"msg":"%s"}}' % CHAT_MARK)
        hot = client_frame(b"\x01\x01\x00" + HOT_MARK, opcode=2)
        sizes_kib = []
        for round_number in range(SECONDS * ROUNDS_PER_S):
            for sender in range(ROOMS * 2):
                peers[sender].transport.write(chat + hot)
            await asyncio.sleep(1 / ROUNDS_PER_S)  # the pace of the load, not a wait for a result
            if round_number % ROUNDS_PER_S == 0:
                sizes_kib.append(rss_kib(gateway.pid))
        expected = 2 * SECONDS * ROUNDS_PER_S
        await until(lambda: all((peer.chats, peer.hots) == (expected, expected) for peer in peers), 60)
        figures = await metrics(gateway.base)
        check_account(figures)
        assert figures['wsprism_queue_sent_total{class="hot",tenant="acme"}'] == expected * len(peers)
        assert sizes_kib[-1] - sizes_kib[0] < 8 * 1024
        deliveries = 2 * expected * len(peers)
        grown = f"RSS {sizes_kib[0]} to {sizes_kib[-1]} KiB"
        print(f"\n{len(peers)} connections, {SECONDS} s: {deliveries} deliveries, {grown}")
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(60) == 0
        await asyncio.gather(*(peer.ended for peer in peers))
    assert {record["level"] for record in gateway.messages()} == {"info"}
