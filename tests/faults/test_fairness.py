"""Sockets that pour: whoever shares the process with them waits a few turns of the loop, not for their megabytes."""

from __future__ import annotations

import asyncio
import socket
import statistics

import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.masked import BINARY, FIN, TEXT, frame
from tests.raw import handshake

pytestmark = [pytest.mark.both_loops, pytest.mark.alone]

SOCKETS = 20
POURED = frame(FIN | BINARY, b"\x01\x01\x00" + b"x" * 3997) * 64
JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')


async def pour(port: int) -> None:
    """Hot frames far above the rate limit, as fast as they are taken."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(raw, handshake("dev:eve").encode() + JOIN)
        while True:
            await loop.sock_sendall(raw, POURED)


async def test_a_ping_does_not_wait_for_sockets_of_another_tenant_that_pour(start_gateway: StartGateway) -> None:
    other = {"id": "other", "auth": {"kind": "dev"}}
    gateway = await start_gateway(acme={"policy": {"rate_limit_rps": 100, "rate_limit_burst": 100}}, tenants=[other])
    eve = gateway.process.tenant("acme")
    assert eve is not None
    loop = asyncio.get_running_loop()
    pouring = [asyncio.ensure_future(pour(gateway.port)) for _ in range(SOCKETS)]
    try:
        await until(lambda: eve.sessions == SOCKETS)
        async with Client(gateway.base, tenant="other", ticket="dev:ann") as ann:
            took = []
            for _ in range(15):
                began = loop.time()
                await ann.send("sys", "ping", None)
                await ann.receive()
                took.append(loop.time() - began)
        assert eve.counters.messages_in_hot > 1000
    finally:
        for one in pouring:
            one.cancel()
        await asyncio.gather(*pouring, return_exceptions=True)
    print("median ms", statistics.median(took) * 1000)
    assert statistics.median(took) < 0.15, took
