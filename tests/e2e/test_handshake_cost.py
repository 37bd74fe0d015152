"""A refused handshake costs the gateway less CPU than an accepted one, whatever it is refused for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

import pytest

from tests.process import GatewayCommand
from tests.scheduled import Scheduled

pytestmark = pytest.mark.alone

CONFIG = """
version: 1
gateway: {listen: "127.0.0.1:0"LIMIT}
tenants: [{id: acme, auth: {kind: tokens, tokens: {good: ann}}, policy: {sessions: {max_sessions_per_user: 0}},
  allowed_origins: [https://game.example]}]
"""
LIMIT = ", handshake_limit: {enabled: true, per_ip_rps: 0.01, per_ip_burst: 1}"
ROUNDS = 7
HANDSHAKES = 60


def request(query: str, origin: str | None = "https://game.example") -> bytes:
    named = "" if origin is None else f"Origin: {origin}\r\n"
    return (
        f"GET /v1/ws?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{named}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def cost_s(gateway: GatewayCommand, data: bytes, status: bytes) -> float:
    """CPU of a batch of handshakes, each from its connect to its end."""
    before = Scheduled.of(gateway.pid)
    for _ in range(HANDSHAKES):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(data)
        assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
        writer.transport.abort()
    await asyncio.sleep(0.05)
    return Scheduled.of(gateway.pid).since(before).ran_s


ACCEPTED = (request("tenant=acme&ticket=good"), b"101")
REFUSED = {
    "ticket": (request("tenant=acme&ticket=bad", None), b"401"),
    "tenant": (request("tenant=nobody&ticket=good", None), b"400"),
    "ticket of a page": (request("tenant=acme&ticket=bad"), b"101"),  # told behind the upgrade
    "origin": (request("tenant=acme&ticket=good", "https://evil.example"), b"101"),
    "not HTTP": (b"\x16\x03\x01", b"400"),
}


async def test_every_refusal_is_cheaper_than_a_connection(tmp_path: Path) -> None:
    (tmp_path / "limited").mkdir()
    async with (
        GatewayCommand(CONFIG.replace("LIMIT", ""), tmp_path) as gateway,
        GatewayCommand(CONFIG.replace("LIMIT", LIMIT), tmp_path / "limited") as limited,
    ):
        await cost_s(gateway, *ACCEPTED)
        reader, writer = await asyncio.open_connection("127.0.0.1", limited.port)
        writer.write(ACCEPTED[0])
        await reader.readline()
        costs: dict[str, list[float]] = {name: [] for name in (*REFUSED, "limiter")}
        for _ in range(ROUNDS):
            accepted = await cost_s(gateway, *ACCEPTED)
            for name, (data, status) in REFUSED.items():
                costs[name].append(await cost_s(gateway, data, status) / accepted)
            costs["limiter"].append(await cost_s(limited, ACCEPTED[0], b"429") / accepted)
        writer.transport.abort()
    ratios = {name: round(median(ratio), 2) for name, ratio in costs.items()}
    print("refused to accepted:", ratios)
    assert max(ratios.values()) < 1, ratios
