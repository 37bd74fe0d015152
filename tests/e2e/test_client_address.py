"""Behind a trusted proxy limits, logs and authenticators see the client; anybody else's headers mean nothing."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.conftest import StartGateway

ONE_EACH = {"enabled": True, "per_ip_rps": 0.01, "per_ip_burst": 1}


async def status(target: int | Path, *fields: str, ticket: str = "wrong") -> int:
    """Of a handshake on a port, or a Unix socket."""
    if isinstance(target, Path):
        reader, writer = await asyncio.open_unix_connection(target)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", target)
    head = [f"GET /v1/ws?tenant=acme&ticket={ticket} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields]
    writer.write("\r\n".join([*head, "", ""]).encode())
    async with asyncio.timeout(60):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


def xff(addresses: str) -> str:
    return f"X-Forwarded-For: {addresses}"


async def test_the_limiter_counts_the_clients_of_a_trusted_proxy(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"handshake_limit": ONE_EACH, "trusted_proxies": ["127.0.0.0/8"]})
    port = gateway.port
    assert await status(port, xff("203.0.113.1")) == 401
    assert await status(port, xff("203.0.113.2")) == 401
    assert await status(port, xff("203.0.113.1")) == 429
    assert await status(port, xff("6.6.6.6, 203.0.113.1")) == 429
    assert await status(port, "Forwarded: for=203.0.113.1;proto=https") == 429
    assert await status(port, "Forwarded: for=203.0.113.3") == 401
    assert await status(port, xff("2001:db8:0:1::1")) == 401
    assert await status(port, xff("[2001:db8:0:1::2]:4711")) == 429
    assert await status(port, xff("2001:db8:0:2::1")) == 401


async def test_nobody_elses_header_buys_another_bucket(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"handshake_limit": ONE_EACH, "trusted_proxies": ["10.0.0.0/8"]})
    assert await status(gateway.port, xff("203.0.113.1")) == 401
    assert await status(gateway.port, xff("203.0.113.2")) == 429
    assert await status(gateway.port, "Forwarded: for=203.0.113.3") == 429


@pytest.mark.parametrize(("trusted", "second"), [(["10.0.0.0/8"], 401), ([], 429)])
async def test_a_unix_sockets_peer_is_trusted_when_any_proxy_is(
    start_gateway: StartGateway, tmp_path: Path, trusted: list[str], second: int
) -> None:
    path = tmp_path / "public.sock"
    settings = {"listen": f"unix:{path}", "handshake_limit": ONE_EACH, "trusted_proxies": trusted}
    await start_gateway(gateway=settings)
    assert await status(path, xff("203.0.113.1")) == 401
    assert await status(path, xff("203.0.113.2")) == second


async def test_the_clients_address_is_what_sessions_and_logs_name(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gateway = await start_gateway(gateway={"trusted_proxies": ["127.0.0.1/32"]})
    assert await status(gateway.port, xff("203.0.113.1"), ticket="dev") == 101
    assert await status(gateway.port, xff("203.0.113.2")) == 401
    remotes = {record.getMessage(): vars(record)["remote"] for record in caplog.records if "remote" in vars(record)}
    assert remotes["connection opened"] == "203.0.113.1"
    assert remotes["handshake refused"] == "203.0.113.2"
