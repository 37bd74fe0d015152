"""What a listener owes whoever speaks HTTP to it, and the ways of its Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.conftest import Running, StartGateway
from wsprism.errors import OperatorError
from wsprism.policy.decisions import Reason

pytestmark = pytest.mark.both_loops

KEY = "an-api-key-of-thirty-two-characters"
OPERATOR = {"listen": "127.0.0.1:0", "api_keys": [{"name": "b", "key": KEY}]}


async def answer(address: str, request: str, body: bytes = b"") -> tuple[str, str]:
    """What comes before ``body`` is sent (a first line, or nothing), and the rest."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.encode())
        first = ""
        if body:
            first = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode().split("\r\n")[0]
            writer.write(body)
        return first, (await asyncio.wait_for(reader.read(), 60)).decode()
    finally:
        writer.close()


async def internal(start_gateway: StartGateway) -> tuple[Running, str]:
    gateway = await start_gateway(gateway={"internal": OPERATOR})
    return gateway, str(gateway.process.internal_address)


async def test_a_client_that_expects_to_be_asked_for_its_body_is_asked(start_gateway: StartGateway) -> None:
    _, address = await internal(start_gateway)
    body = b'{"svc":"a","type":"b"}'
    first, rest = await answer(
        address,
        f"POST /v1/tenants/acme/rooms/r/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n",
        body,
    )
    assert first == "HTTP/1.1 100 Continue"
    assert rest.startswith("HTTP/1.1 202 ")


async def test_any_other_expectation_is_417(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    _, got = await answer(f"127.0.0.1:{gateway.port}", "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n")
    assert got.startswith("HTTP/1.1 417 ")


async def test_head_is_get_without_a_body_and_answers_carry_their_date(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    address = f"127.0.0.1:{gateway.port}"
    _, got = await answer(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    _, head = await answer(address, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert head.endswith("\r\n\r\n")
    for name in ("Content-Length: ", "Content-Type: ", "Date: ", "Server: wsprism"):
        assert name in got
        assert name in head


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "TRACE"])
async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    start_gateway: StartGateway, method: str
) -> None:
    gateway = await start_gateway()
    _, got = await answer(f"127.0.0.1:{gateway.port}", f"{method} /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert got.startswith("HTTP/1.1 405 ")
    assert "Allow: GET, HEAD" in got


async def test_a_second_gateway_on_the_same_unix_socket_is_refused(start_gateway: StartGateway, tmp_path: Path) -> None:
    path = tmp_path / "ws.sock"
    await start_gateway(gateway={"listen": f"unix:{path}"})
    before = os.stat(path).st_ino
    with pytest.raises(OperatorError, match="somebody else listens there"):
        await start_gateway(gateway={"listen": f"unix:{path}"})
    assert os.stat(path).st_ino == before


async def test_the_socket_that_a_dead_gateway_left_is_replaced_and_removed_at_the_end(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    path = tmp_path / "ws.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    gateway = await start_gateway(gateway={"listen": f"unix:{path}"})
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await gateway.process.stop()
    assert not path.exists()


async def test_a_refused_ticket_is_told_of_its_tenant(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(acme={"auth": {"kind": "tokens", "tokens": {"a-long-token-of-ann": "ann"}}})
    acme = gateway.process.tenant("acme")
    assert acme is not None
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with caplog.at_level("INFO", "wsprism.handshake"):
        for tenant in ("acme", "stranger"):
            await answer(
                f"127.0.0.1:{gateway.port}", f"GET /v1/ws?tenant={tenant}&ticket=no HTTP/1.1\r\nHost: x\r\n{upgrade}"
            )
    assert gateway.process.counters.handshakes_refused_by_tenant == {("acme", "ticket"): 1}
    assert acme.counters.decisions[Reason.AUTH_FAILED] == 1
    assert [getattr(record, "tenant", None) for record in caplog.records] == ["acme", None]
