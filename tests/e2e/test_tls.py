"""TLS of the public listener: on both event loops, with old and new certificates, and against who does not speak it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import Certificate, make_certificate
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.process import GatewayCommand
from wsprism.errors import OperatorError
from wsprism.transport.http import tls

pytestmark = pytest.mark.both_loops

TIMEOUT_S = 60.0
ENCRYPTED_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)


def settings(certificate: Certificate, **tls: object) -> dict[str, object]:
    return {"tls": {"cert_file": str(certificate.cert), "key_file": str(certificate.key), **tls}}


def client(gateway: Running, certificate: Certificate, ticket: str = "dev") -> Client:
    return Client(f"https://127.0.0.1:{gateway.port}", ticket=ticket, ssl=certificate.client_context())


async def conversation(base: str, context: ssl.SSLContext) -> None:
    async with Client(base, ticket="dev:ann", ssl=context) as ann, Client(base, ticket="dev:bob", ssl=context) as bob:
        await ann.join("r")
        await bob.join("r")
        for text in ("short", "long" * 250):
            await ann.send("chat", "send", {"msg": text})
            assert await ann.receive() == await bob.receive()
        await bob.ws.send_bytes(b"\x01\x01\x00hot")
        assert await ann.receive_hot() == b"\x01\x01\x00hot"


async def test_both_lanes_through_the_takeover(start_gateway: StartGateway, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    gateway = await start_gateway(gateway=settings(certificate))
    await conversation(f"https://127.0.0.1:{gateway.port}", certificate.client_context())
    await until(lambda: (gateway.process.connections(), gateway.process.http_connections()) == (0, 0))


async def test_the_same_as_a_process_on_its_own_event_loop(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    config = (
        f"version: 1\ngateway: {{listen: '127.0.0.1:0', tls: {{cert_file: {certificate.cert}, "
        f"key_file: {certificate.key}}}}}\ntenants: [{{id: acme, auth: {{kind: dev}}, policy: {{ext_allowlist: "
        "['room:*', 'chat:*'], hot_allowlist: ['1:*']}}]\n"
    )
    async with GatewayCommand(config, tmp_path) as gateway:
        base = f"https://127.0.0.1:{gateway.port}"
        await conversation(base, certificate.client_context())
        _, plain = await asyncio.open_connection("127.0.0.1", gateway.port)
        plain.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        _, silent = await asyncio.open_connection("127.0.0.1", gateway.port)
        await conversation(base, certificate.client_context())
        for writer in (plain, silent):
            writer.transport.abort()
    assert not [
        record for record in gateway.messages() if record["level"] in ("error", "warning") and "dev" not in str(record)
    ]


async def test_a_slow_reader_is_closed_under_tls_too(start_gateway: StartGateway, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    gateway = await start_gateway(
        gateway=settings(certificate) | {"writer_send_timeout_ms": 200}, acme={"limits": {"max_frame_bytes": 65536}}
    )
    [tenant] = gateway.process.tenants()
    async with client(gateway, certificate, "dev:slow") as slow, client(gateway, certificate, "dev:ann") as ann:
        await slow.join("r")
        await ann.join("r")
        transport = slow.ws._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.pause_reading()
        while not tenant.counters.closed[4000]:
            await ann.send("chat", "send", {"msg": "x" * 16_000})
            await ann.receive()
        transport.abort()


async def test_a_new_certificate_is_taken_without_a_restart(start_gateway: StartGateway, tmp_path: Path) -> None:
    old = make_certificate(tmp_path)
    old_context = old.client_context()
    gateway = await start_gateway(gateway=settings(old))
    assert gateway.process.certificate is not None
    async with Client(f"https://127.0.0.1:{gateway.port}", ssl=old_context) as before:
        new = make_certificate(tmp_path)
        gateway.process.certificate.take_changes()
        async with client(gateway, new):
            with pytest.raises(OSError, match="certificate verify failed"):
                await Client(f"https://127.0.0.1:{gateway.port}", ssl=old_context).open()
        await before.join("r")


async def test_changed_files_are_noticed_without_being_told(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_INTERVAL_S", 0.02)
    gateway = await start_gateway(gateway=settings(make_certificate(tmp_path)))
    certificate = gateway.process.certificate
    assert certificate is not None
    old = certificate.context
    new = make_certificate(tmp_path)
    await until(lambda: certificate.context is not old)
    async with client(gateway, new):
        pass


async def test_files_that_cannot_be_used_leave_the_old_certificate(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path)
    context = certificate.client_context()
    gateway = await start_gateway(gateway=settings(certificate))
    assert gateway.process.certificate is not None
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    os.replace(other.key, certificate.key)
    for _ in range(2):
        gateway.process.certificate.take_changes()
    with pytest.raises(OperatorError, match="certificate and key do not fit"):
        gateway.process.certificate.reload()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    async with Client(f"https://127.0.0.1:{gateway.port}", ssl=context):
        pass


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda made: made.cert.unlink(), "No such file"),
        (lambda made: made.cert.write_text("nonsense"), "not a PEM certificate"),
        (lambda made: made.key.write_bytes(ENCRYPTED_KEY), "encrypted"),
    ],
)
async def test_a_certificate_that_cannot_be_used_stops_the_start(
    start_gateway: StartGateway, tmp_path: Path, break_it: object, message: str
) -> None:
    certificate = make_certificate(tmp_path)
    assert callable(break_it)
    break_it(certificate)
    with pytest.raises(OperatorError, match=message):
        await start_gateway(gateway=settings(certificate))


async def test_an_older_version_than_configured_is_not_spoken(start_gateway: StartGateway, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    gateway = await start_gateway(gateway=settings(certificate, min_version="1.3"))
    context = certificate.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
    await until(lambda: gateway.process.counters.handshakes_refused["tls"] == 1)
    async with client(gateway, certificate):
        pass


async def test_half_open_tls_sockets_are_timed_out_and_counted(start_gateway: StartGateway, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    limits = {"handshake_timeout_ms": 2000, "max_half_open": 2}
    gateway = await start_gateway(gateway=settings(certificate) | {"limits": limits})
    sockets = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(3)]
    refused = gateway.process.counters.handshakes_refused
    await until(lambda: refused["half_open_full"] == 1)
    for reader, writer in sockets:
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        writer.close()
    await until(lambda: refused["handshake_timeout"] == 2)
    await until(lambda: gateway.process.http_connections() == 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=certificate.client_context())
    writer.write(b"GET /he")
    assert (await asyncio.wait_for(reader.read(), TIMEOUT_S)).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await until(lambda: refused["handshake_timeout"] == 3)


async def test_plain_http_at_the_tls_port_is_one_counted_refusal(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(gateway=settings(make_certificate(tmp_path)))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: gateway.process.counters.handshakes_refused["tls"] == 1)
    writer.close()
    assert reader is not None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]


async def test_the_internal_listener_stays_plain(start_gateway: StartGateway, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    gateway = await start_gateway(gateway=settings(certificate) | {"internal": {"listen": "127.0.0.1:0"}})
    assert gateway.process.internal_address is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.process.internal_address.port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
