"""The echo path is there only when asked for, behind the same checks; a client that does not read is closed."""

from __future__ import annotations

import aiohttp
import pytest

from tests.client import connect_url, until
from tests.conftest import StartGateway
from tests.masked import BINARY, FIN, frame
from tests.raw import RawClient

ECHO = {"diagnostics": {"echo_path": "/echo"}}


async def test_both_kinds_of_message_come_back_and_nothing_else(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway=ECHO)
    url = connect_url(gateway.base).replace("/v1/ws", "/echo")
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        await ws.send_str("not an envelope")
        await ws.send_bytes(b"\x00")
        assert (await ws.receive()).data == "not an envelope"
        assert (await ws.receive()).data == b"\x00"
    [tenant] = gateway.process.tenants()
    assert (tenant.counters.messages_in_ext, tenant.counters.messages_in_hot) == (1, 1)


@pytest.mark.parametrize(
    ("gateway_settings", "query", "status"),
    [
        ({}, "tenant=acme&ticket=dev", 404),
        (ECHO, "tenant=nobody&ticket=dev", 400),
        (ECHO, "tenant=acme&ticket=wrong", 401),
        (ECHO, "tenant=acme", 401),
    ],
)
async def test_it_is_unset_by_default_and_wants_a_ticket(
    start_gateway: StartGateway, gateway_settings: dict[str, object], query: str, status: int
) -> None:
    gateway = await start_gateway(gateway=gateway_settings)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{gateway.base}/echo?{query}")
    assert refused.value.status == status


async def test_the_rate_limit_holds_there_too(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway=ECHO, acme={"policy": {"rate_limit_rps": 0.01, "rate_limit_burst": 2}})
    client = await RawClient.upgrade(gateway.port, "/echo")
    client.send(*(frame(FIN | BINARY, b"%d" % number) for number in range(5)), frame(FIN | 9, b"end"))
    assert sorted([await client.frame() for _ in range(3)]) == [(2, b"0"), (2, b"1"), (10, b"end")]
    client.abort()


async def test_a_client_that_never_reads_its_echo_is_closed_and_holds_no_memory(start_gateway: StartGateway) -> None:
    qos = {"reliable_max_bytes": 100_000}
    gateway = await start_gateway(gateway=ECHO, acme={"qos": qos, "limits": {"max_frame_bytes": 65536}})
    [tenant] = gateway.process.tenants()
    client = await RawClient.upgrade(gateway.port, "/echo")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    most = 0
    while not tenant.counters.slow_disconnects:
        client.send(frame(FIN | BINARY, b"x" * 16_000))
        await until(lambda: not client.writer.transport.get_write_buffer_size() or bool(tenant.counters.closed))
        most = max(most, tenant.counters.lanes.queued_bytes[1])
    assert most <= qos["reliable_max_bytes"]
    await until(lambda: tenant.counters.closed[4000] == 1)
    client.abort()
