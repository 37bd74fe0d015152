"""A reader that is slow but keeps reading stays, with TLS as without: progress is what the kernel says was taken."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.client import until
from tests.conftest import StartGateway
from tests.masked import FIN, TEXT, frame
from tests.raw import handshake

pytestmark = [pytest.mark.both_loops, pytest.mark.alone]

TIMEOUT_MS = 400
READ_BYTES = 4096
JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')
ECHO = b'"' + b"x" * 3900 + b'"'
PING = frame(FIN | TEXT, b'{"v":1,"svc":"sys","type":"ping","data":' + ECHO + b"}")


class Slow:
    """A blocking client in a thread; ``context``: speaks TLS."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
        raw.settimeout(5)
        raw.connect(("127.0.0.1", port))
        self.socket = raw if context is None else context.wrap_socket(raw, server_hostname="127.0.0.1")
        self.socket.sendall(handshake("dev:slow").encode())

    def take(self) -> bool:
        """Whether the server still had something to say."""
        return bool(self.socket.recv(READ_BYTES))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_reader_that_keeps_reading_slowly_stays(start_gateway: StartGateway, tmp_path: Path, tls: bool) -> None:
    certificate = make_certificate(tmp_path)
    files = {"cert_file": str(certificate.cert), "key_file": str(certificate.key)}
    gateway = await start_gateway(gateway={"writer_send_timeout_ms": TIMEOUT_MS, "tls": files if tls else {}})
    acme = gateway.process.tenant("acme")
    assert acme is not None
    slow = await asyncio.to_thread(Slow, gateway.port, certificate.client_context() if tls else None)
    try:
        await until(lambda: acme.sessions == 1)
        await asyncio.to_thread(slow.socket.sendall, PING * 100)
        await until(lambda: gateway.process.flusher.pauses > 0)
        for _ in range(25):
            assert await asyncio.to_thread(slow.take)
            await asyncio.sleep(0.05)
        assert acme.counters.closed[4000] == 0
        assert acme.sessions == 1
        await asyncio.sleep(0)
        await until(lambda: acme.counters.closed[4000] == 1)  # and one that stops is closed
    finally:
        slow.socket.close()
