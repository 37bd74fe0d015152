"""A reader that stops reading: bounded, alone in its trouble, closed 4000 or fresh again."""

from __future__ import annotations

import socket

import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.raw import RawClient, client_frame

pytestmark = pytest.mark.both_loops

PATIENT_MS = 60_000
"""Nobody who waited for a reader so long would be in time."""


async def slow_client(port: int, ticket: str = "dev:slow") -> RawClient:
    """Joined to ``r``, with a small receive buffer and reading paused."""
    client = await RawClient.connect(port, ticket)
    raw = client.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.send(client_frame(b'{"v":1,"svc":"room","type":"join","room":"r"}'))
    await client.frame()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return client


async def flood(client: Client, messages: int) -> None:
    """Publish more than a socket and its buffers hold, each message only once the last came back."""
    for _ in range(messages):
        await client.send("chat", "send", {"msg": "x" * 16000})
        await client.receive()


async def test_a_reader_of_ext_that_stops_is_closed_4000_and_delays_nobody(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"qos": {"reliable_max_bytes": 65536}, "limits": {"max_frame_bytes": 65536}})
    tenant = next(iter(gateway.process.tenants()))
    slow = await slow_client(gateway.process.address.port)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        while not tenant.counters.slow_disconnects:
            await flood(ann, 1)
        assert tenant.counters.lanes.queued_bytes[1] <= 65536
        await until(lambda: tenant.sessions == 1)
    assert tenant.counters.closed[4000] == 1
    slow.abort()


async def test_a_reader_that_makes_no_progress_is_closed_even_below_its_bounds(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"writer_send_timeout_ms": 100}, acme={"limits": {"max_frame_bytes": 65536}})
    tenant = next(iter(gateway.process.tenants()))
    slow = await slow_client(gateway.process.address.port)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await flood(ann, 30)
        await until(lambda: tenant.counters.closed[4000] == 1)
        await until(lambda: gateway.process.connections() == 1)
    slow.abort()


async def test_a_reader_of_hot_frames_that_pauses_sees_the_newest_when_it_resumes(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        gateway={"writer_send_timeout_ms": PATIENT_MS}, acme={"qos": {"hot_max_frames": 16, "conflate": "sender"}}
    )
    tenant = next(iter(gateway.process.tenants()))
    slow = await slow_client(gateway.process.address.port)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        sent = 0
        while not tenant.counters.lanes.conflated[2]:
            await ann.ws.send_bytes(b"\x01\x01\x00" + sent.to_bytes(4, "big") + b"." * 2000)
            await ann.receive_hot()
            sent += 1
        for _ in range(200):
            await ann.ws.send_bytes(b"\x01\x01\x00" + sent.to_bytes(4, "big") + b"." * 2000)
            await ann.receive_hot()
            sent += 1
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = -1
        while seen < sent - 1:
            opcode, payload = await slow.frame()
            assert opcode == 2
            number = int.from_bytes(payload[3:7], "big")
            assert number > seen
            seen = number
    lanes = tenant.counters.lanes
    assert lanes.offered[2] == lanes.sent[2] + lanes.conflated[2] + lanes.dropped[2]
    assert (lanes.queued[2], lanes.discarded[2]) == (0, 0)
    assert tenant.counters.closed[4000] == 0
    slow.abort()


async def test_a_silent_peer_leaves_no_socket_in_fin_wait(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"writer_send_timeout_ms": 100}, acme={"limits": {"max_frame_bytes": 65536}})
    tenant = next(iter(gateway.process.tenants()))
    slow = await slow_client(gateway.process.address.port)
    local = slow.writer.get_extra_info("sockname")[1]
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await flood(ann, 30)
        await until(lambda: tenant.counters.closed[4000] == 1)
        await until(lambda: gateway.process.connections() == 1)
    await until(lambda: local not in server_side_ports())
    slow.abort()


def server_side_ports() -> set[int]:
    """Remote ports of this machine's TCP sockets in FIN-WAIT-1, read from the kernel."""
    fin_wait_1 = "04"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[3] == fin_wait_1}


async def test_one_slow_reader_does_not_delay_another(start_gateway: StartGateway) -> None:
    patient = {"writer_send_timeout_ms": PATIENT_MS}
    gateway = await start_gateway(gateway=patient, acme={"limits": {"max_frame_bytes": 65536}})
    slow = await slow_client(gateway.process.address.port)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await flood(ann, 30)
    slow.abort()
