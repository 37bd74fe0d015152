"""A slow reader has with TLS what it has without: it stays while it keeps reading, and little is in flight to it."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.masked import FIN, TEXT, frame
from tests.raw import handshake
from tests.realtime_support import frames_in
from wsprism.protocol.frames import binary_frame
from wsprism.transport.http.sockets import beneath_tls, taken_by_peer
from wsprism.transport.websocket.link import HIGH_WATER_BYTES, Link

pytestmark = [pytest.mark.both_loops, pytest.mark.alone]

TIMEOUTS_MS = 400, 2000, 10_000
"""One after the other, until this machine does not pause longer than that: who reads is never closed then."""
READ_BYTES = 4096
JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')
ECHO = b'"' + b"x" * 3900 + b'"'
HOT = binary_frame(b"\x01\x01\x00" + bytes(4) + b"." * 2000)
PING = frame(FIN | TEXT, b'{"v":1,"svc":"sys","type":"ping","data":' + ECHO + b"}")


class Slow:
    """A blocking client in a thread; ``context``: speaks TLS."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
        raw.settimeout(60)
        raw.connect(("127.0.0.1", port))
        self.socket = raw if context is None else context.wrap_socket(raw, server_hostname="127.0.0.1")
        self.socket.sendall(handshake("dev:slow").encode())

    def read_until(self, end: bytes) -> bytes:
        """Everything up to and with ``end``, and what came in the same piece."""
        data = b""
        while end not in data:
            data += self.socket.recv(65536)
        return data

    def take(self) -> bool:
        """Whether the server still had something to say."""
        return bool(self.socket.recv(READ_BYTES))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_reader_that_keeps_reading_slowly_stays(start_gateway: StartGateway, tmp_path: Path, tls: bool) -> None:
    certificate = make_certificate(tmp_path)
    files = {"cert_file": str(certificate.cert), "key_file": str(certificate.key)}
    for timeout_ms in TIMEOUTS_MS:
        gateway = await start_gateway(gateway={"writer_send_timeout_ms": timeout_ms, "tls": files if tls else {}})
        if await stays_while_it_reads(gateway, timeout_ms / 1000, certificate.client_context() if tls else None):
            return
    pytest.fail("closed whatever the timeout")


async def stays_while_it_reads(gateway: Running, timeout_s: float, context: ssl.SSLContext | None) -> bool:
    """And is closed once it stops."""
    acme = gateway.process.tenant("acme")
    assert acme is not None
    slow = await asyncio.to_thread(Slow, gateway.port, context)
    try:
        await until(lambda: acme.sessions == 1)
        await asyncio.to_thread(slow.socket.sendall, PING * 100)
        await until(lambda: gateway.process.flusher.pauses > 0)
        for _ in range(25):
            if not await asyncio.to_thread(slow.take):
                return False
            await asyncio.sleep(timeout_s / 8)
        stayed = acme.counters.closed[4000] == 0
        await until(lambda: acme.counters.closed[4000] == 1)
        return stayed
    except (ConnectionError, ssl.SSLError):
        return False
    finally:
        slow.socket.close()


def held_by_kernel(link: Link) -> int:
    """Bytes on this side that have not been acknowledged yet, and those that have."""
    transport = link._transport
    sock = transport.get_extra_info("socket")
    waiting = int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return waiting + taken_by_peer(transport)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_reader_that_pauses_sees_no_state_older_than_what_was_in_flight(
    start_gateway: StartGateway, tmp_path: Path, tls: bool
) -> None:
    certificate = make_certificate(tmp_path)
    files = {"cert_file": str(certificate.cert), "key_file": str(certificate.key)}
    gateway = await start_gateway(
        gateway={"writer_send_timeout_ms": 60_000, "tls": files if tls else {}},
        acme={"qos": {"hot_max_frames": 16, "conflate": "sender"}},
    )
    acme = gateway.process.tenant("acme")
    assert acme is not None
    context = certificate.client_context()
    slow = await asyncio.to_thread(Slow, gateway.port, context if tls else None)
    base = gateway.base.replace("http", "https") if tls else gateway.base
    options: dict[str, Any] = {"ssl": context} if tls else {}
    try:
        await asyncio.to_thread(slow.socket.sendall, JOIN)
        await asyncio.to_thread(slow.read_until, b'"joined"')
        (session,) = acme.registry
        outlet = session.outlet
        assert isinstance(outlet.transport, Link)
        assert (beneath_tls(outlet.transport._transport) is not None) is tls
        before = held_by_kernel(outlet.transport)
        async with Client(base, ticket="dev:ann", **options) as ann:
            await ann.join("r")
            sent = 0
            while not outlet.queue.congested:
                await ann.ws.send_bytes(b"\x01\x01\x00" + sent.to_bytes(4, "big") + b"." * 2000)
                await ann.receive_hot()
                sent += 1
            in_flight = sent
            waiting_here = in_flight * len(HOT) - (held_by_kernel(outlet.transport) - before)
            assert waiting_here <= HIGH_WATER_BYTES + 2 * len(HOT)
            for _ in range(200):
                await ann.ws.send_bytes(b"\x01\x01\x00" + sent.to_bytes(4, "big") + b"." * 2000)
                await ann.receive_hot()
                sent += 1
            data = await asyncio.to_thread(slow.read_until, (sent - 1).to_bytes(4, "big") + b"." * 2000)
        seen = [int.from_bytes(payload[3:7], "big") for opcode, payload in frames_in(data) if opcode == 2]
        assert seen == [*range(in_flight), sent - 1]
    finally:
        slow.socket.close()
