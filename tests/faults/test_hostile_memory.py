"""A hostile client cannot make memory grow: it sends all that is taken and reads nothing, and the peak is measured."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.masked import BINARY, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, compress, frame
from tests.raw import RawClient, handshake

UPGRADE = handshake("dev:eve").encode()
MIB = 1024 * 1024
POURED_BYTES = 8 * MIB
MOST_BYTES = 5 * MIB
"""One connection's queues (1 MiB reliable, 512 hot frames of 4 KiB), what is read at once, and room for the tools."""

POURING_S = 3.0


def ext(svc: str, kind: str, data: str = "null", room: str = "r") -> bytes:
    return frame(FIN | TEXT, f'{{"v":1,"svc":"{svc}","type":"{kind}","room":"{room}","data":{data}}}'.encode())


JOIN = frame(FIN | TEXT, b'{"v":1,"svc":"room","type":"join","room":"r"}')
BIG = '"' + "x" * 3900 + '"'


@contextmanager
def peak_below(most_bytes: int) -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < most_bytes, f"{grown / MIB:.1f} MiB"


async def pour(gateway: Running, head: bytes, data: bytes, *, handshake: bytes = UPGRADE) -> int:
    """Send ``data`` over and over, as fast as it is taken, and never read; how many bytes were taken."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(raw, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(raw, handshake + head)
        chunk = data * max(1, 65536 // len(data))
        taken = 0
        try:
            async with asyncio.timeout(POURING_S):
                while taken < POURED_BYTES:
                    await loop.sock_sendall(raw, chunk)
                    taken += len(chunk)
        except (TimeoutError, ConnectionError):
            pass
        return taken


@pytest.mark.parametrize(
    ("head", "data"),
    [
        pytest.param(frame(TEXT, b"x"), frame(CONTINUATION, b"x"), id="fragments of a message without end"),
        pytest.param(frame(TEXT), frame(CONTINUATION), id="empty fragments"),
        pytest.param(b"\x81\xfe\x0f\xff", b"x", id="a frame that trickles and one that does not end"),
        pytest.param(b"", frame(FIN | PING, b"p" * 125), id="pings"),
        pytest.param(b"", frame(FIN | PONG, b"p" * 125), id="pongs"),
        pytest.param(b"", frame(FIN | BINARY), id="empty messages"),
        pytest.param(b"", frame(FIN | TEXT, b"nonsense"), id="faulty messages"),
        pytest.param(b"", ext("sys", "ping", BIG), id="sys.ping with much data"),
        pytest.param(b"", ext("sys", "refresh", '{"ticket":"dev:eve"}'), id="refreshes"),
        pytest.param(b"", ext("chat", "send", '{"msg":"x"}', "nowhere"), id="refused messages"),
        pytest.param(JOIN, ext("chat", "send", f'{{"msg":{BIG}}}'), id="own chat"),
        pytest.param(JOIN, frame(FIN | BINARY, b"\x01\x01\x00" + b"x" * 4000), id="own hot frames"),
        pytest.param(JOIN, ext("room", "join"), id="one room joined again and again"),
        pytest.param(JOIN, ext("room", "join") + ext("room", "leave"), id="joins and leaves"),
        pytest.param(b"", ext("room", "members") + ext("room", "leave"), id="questions about rooms"),
        pytest.param(b"", JOIN + ext("sys", "ping", BIG) * 300, id="much behind a join"),
    ],
)
async def test_a_client_that_sends_all_it_can_and_reads_nothing_is_bounded(
    start_gateway: StartGateway, head: bytes, data: bytes
) -> None:
    policy = {"ext_allowlist": ["room:*", "chat:*"], "max_protocol_errors": 0}
    gateway = await start_gateway(acme={"policy": policy}, gateway={"writer_send_timeout_ms": 10_000})
    tenant = next(iter(gateway.process.tenants()))
    async with Client(gateway.base, ticket="dev:ann") as ann:
        with peak_below(MOST_BYTES):
            assert await pour(gateway, head, data) > 0
        await ann.expect_silence()
    await until(lambda: (tenant.sessions, tenant.rooms, gateway.process.connections()) == (0, 0, 0))
    assert list(tenant.counters.lanes.queued) == [0, 0, 0]


async def test_a_compression_bomb_is_inflated_no_further_than_a_message_may_be(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"compression": True})
    bomb = frame(FIN | RSV1 | BINARY, compress(bytes(16 * MIB)))
    more = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    offer = handshake("dev:eve", more=more)
    with peak_below(MIB):
        await pour(gateway, b"", bomb, handshake=offer.encode())
    await until(lambda: gateway.process.connections() == 0)
    small = frame(FIN | RSV1 | BINARY, compress(bytes(4096)))
    with peak_below(MOST_BYTES):
        await pour(gateway, b"", small, handshake=offer.encode())
    await until(lambda: gateway.process.connections() == 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="requests, one behind the other"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", id="requests with large answers"),
        pytest.param(b"X-Header: " + b"x" * 1000 + b"\r\n", id="headers without end"),
        pytest.param(b"x" * 1000, id="a line without end"),
    ],
)
async def test_what_comes_before_the_upgrade_is_bounded(start_gateway: StartGateway, data: bytes) -> None:
    gateway = await start_gateway()
    with peak_below(MOST_BYTES):
        await pour(gateway, b"", data, handshake=b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    await until(lambda: gateway.process.http_connections() == 0)


async def test_a_body_that_nobody_asked_for_is_not_kept(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    head = b"POST /v1/ws?tenant=acme HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    with peak_below(MOST_BYTES):
        await pour(gateway, b"", b"x" * 1000, handshake=head)
    await until(lambda: gateway.process.http_connections() == 0)


async def test_what_is_sent_while_a_ticket_is_judged_is_bounded(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway()
    tenant = next(iter(gateway.process.tenants()))
    judged = asyncio.Event()

    async def slowly(_: object) -> None:
        await judged.wait()

    monkeypatch.setattr(tenant.authenticator, "authenticate", slowly)
    with peak_below(MOST_BYTES):
        await pour(gateway, b"", frame(FIN | BINARY, b"x" * 4000))
    judged.set()
    await until(lambda: gateway.process.http_connections() == 0)


@asynccontextmanager
async def nothing_left(gateway: Running, most_bytes: int) -> AsyncIterator[None]:
    """What was done within must leave no actor, session or room, and no more than ``most_bytes``."""
    process = gateway.process
    tenant = next(iter(process.tenants()))
    actors = process.actors().actors
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        await until(lambda: process.actors().actors == actors and process.connections() == 0)
        await until(lambda: (tenant.sessions, tenant.rooms) == (0, 0))
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert left < most_bytes, f"{left / MIB:.1f} MiB"


async def test_many_rooms_are_gone_with_whoever_was_in_them(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:warm"):
        pass
    await until(lambda: gateway.process.connections() == 0)
    async with nothing_left(gateway, MIB):
        eve = await RawClient.connect(gateway.port, "dev:eve")
        for number in range(1500):
            name = f"{number}".rjust(128, "r")
            eve.send(ext("room", "join", room=name))
            if number % 2:
                eve.send(ext("room", "leave", room=name))
        for _ in range(1500 + 750):
            await eve.frame()
        assert next(iter(gateway.process.tenants())).rooms == 750
        eve.abort()


async def test_many_sids_leave_nothing_behind(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    for _ in range(2):
        async with nothing_left(gateway, MIB // 2):
            for number in range(200):
                path = f"/v1/ws?tenant=acme&ticket=dev:eve&sid={str(number).rjust(64, 's')}"
                head = UPGRADE.partition(b"\r\n")[2]
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                writer.write(f"GET {path} HTTP/1.1\r\n".encode() + head)
                assert b" 101 " in await reader.readuntil(b"\r\n")
                writer.transport.abort()


async def test_names_are_as_long_as_they_may_be_and_no_longer(start_gateway: StartGateway) -> None:
    users = {"fits": "u" * 255}
    gateway = await start_gateway(acme={"auth": {"kind": "tokens", "tokens": users}})
    async with Client(gateway.base, ticket="fits", sid="s" * 64) as eve:
        assert (await eve.join("r" * 128))["type"] == "joined"
        await eve.send("room", "join", room="r" * 129)
        await eve.expect_error("BAD_REQUEST")
        await eve.send("s" * 65, "join")
        await eve.expect_error("BAD_REQUEST")
    long = [("ticket=fits&sid=" + "s" * 65, 400), ("ticket=" + "t" * 20_000, 431)]
    for query, status in long:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"GET /v1/ws?tenant=acme&{query} HTTP/1.1\r\n".encode() + UPGRADE.partition(b"\r\n")[2])
        assert f" {status} ".encode() in await reader.readuntil(b"\r\n")
        writer.close()
