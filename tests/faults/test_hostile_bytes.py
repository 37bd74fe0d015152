"""Bytes that no well-behaved client sends: each gets its close code, no traceback, and disturbs nobody else."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.raw import RawClient, client_frame

pytestmark = pytest.mark.both_loops

JOIN = b'{"v":1,"svc":"room","type":"join","room":"r"}'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(b"hello", masked=False), 1002),
        (client_frame(b"x", opcode=3), 1002),
        (client_frame(b"x", opcode=0xB), 1002),
        (client_frame(b"x", first=0x20), 1002),
        (client_frame(b"x", first=0x40), 1002),
        (client_frame(b"x", opcode=9, fin=False), 1002),
        (client_frame(b"x" * 126, opcode=9), 1002),
        (client_frame(b"tail", opcode=0), 1002),
        (client_frame(b"a", fin=False) + client_frame(b"b"), 1002),
        (client_frame(b"\xff\xfe"), 1007),
        (client_frame(b"\xc3", fin=False) + client_frame(b"(", opcode=0), 1007),
        (client_frame(b"\x03", opcode=8), 1002),
        (client_frame((1006).to_bytes(2, "big"), opcode=8), 1002),
        (client_frame((5000).to_bytes(2, "big"), opcode=8), 1002),
        (client_frame((1000).to_bytes(2, "big") + b"\xff", opcode=8), 1007),
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009),
        (client_frame(b"x" * 3000, fin=False) + client_frame(b"x" * 3000, opcode=0), 1009),
    ],
)
async def test_a_violation_is_closed_with_its_code(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture, data: bytes, code: int
) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:bob") as bob:
        await bob.join("r")
        client = await RawClient.connect(gateway.process.address.port)
        client.send(data)
        assert await client.close_code() == code
        await client.ended()
        client.abort()
        await bob.expect_silence()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_fragments_with_a_ping_between_them_are_one_message(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.process.address.port)
    client.send(client_frame(JOIN[:10], fin=False), client_frame(b"mid", opcode=9), client_frame(JOIN[10:], opcode=0))
    answers = dict([await client.frame(), await client.frame()])
    assert answers[0xA] == b"mid"
    assert b'"joined"' in answers[1]
    client.abort()


async def test_frames_sent_in_one_piece_with_the_handshake_are_heard(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.process.address.port, behind=client_frame(JOIN))
    assert b'"joined"' in (await client.frame())[1]
    client.abort()


async def test_thousands_of_small_messages_in_one_write_are_all_answered_in_order(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.process.address.port)
    pings = [client_frame(b'{"v":1,"svc":"sys","type":"ping","seq":%d}' % number) for number in range(5000)]
    client.send(*pings)
    for number in range(5000):
        assert b'"seq":%d,' % number in (await client.frame())[1]
    client.abort()


async def test_a_client_that_vanishes_mid_frame_leaves_nothing_behind(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.process.address.port)
    client.send(client_frame(JOIN))
    await client.frame()
    client.send(client_frame(b"x" * 100)[:50])
    client.abort()
    tenant = next(iter(gateway.process.tenants()))
    await until(lambda: (tenant.sessions, tenant.rooms, gateway.process.connections()) == (0, 0, 0))


async def test_a_half_closed_socket_is_closed(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.process.address.port)
    client.writer.write_eof()
    await client.ended()
    await until(lambda: gateway.process.connections() == 0)
    client.abort()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00garbage",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"BREW /pot HTCPCP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"POST /v1/ws?tenant=acme HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_what_is_not_http_or_not_an_upgrade_leaves_no_traceback(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    gateway = await start_gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.process.address.port)
    writer.write(request_bytes)
    writer.write_eof()
    async with asyncio.timeout(30):
        answer = await reader.read()
    assert b"Traceback" not in answer
    assert b"/site-packages/" not in answer
    writer.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
