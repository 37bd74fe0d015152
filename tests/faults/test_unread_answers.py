"""Answers that nobody reads: they have a deadline, as everything has that waits."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.client import until
from tests.conftest import StartGateway
from wsprism.transport.http import server

pytestmark = pytest.mark.both_loops


async def test_an_answer_of_which_nothing_is_taken_is_given_up(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_TIMEOUT_S", 5.0)
    many = [{"id": f"t{number}", "auth": {"kind": "dev"}} for number in range(30)]
    gateway = await start_gateway(tenants=many)
    loop = asyncio.get_running_loop()
    began = loop.time()
    crowd = [socket.socket() for _ in range(10)]
    try:
        for raw in crowd:
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(raw, ("127.0.0.1", gateway.port))
            await loop.sock_sendall(raw, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: gateway.process.http_connections() == 10)
        await until(lambda: gateway.process.http_connections() == 0)
        assert loop.time() - began >= 5.0
    finally:
        for raw in crowd:
            raw.close()
