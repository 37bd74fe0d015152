"""Sockets that are slow, silent, too many or not HTTP at all, before there is a request: raw bytes against the gate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.certificates import make_certificate
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.process import GatewayCommand
from tests.raw import RawClient, handshake
from wsprism.realtime.session import Session
from wsprism.transport.http import server
from wsprism.transport.websocket.link import Link

pytestmark = pytest.mark.both_loops

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT_S = 60.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(gateway: Running) -> Streams:
    return await asyncio.open_connection("127.0.0.1", gateway.port)


async def read_all(streams: Streams) -> bytes | None:
    """What came until the end; None: the socket was reset."""
    try:
        return await asyncio.wait_for(streams[0].read(), TIMEOUT_S)
    except ConnectionResetError:
        return None
    finally:
        streams[1].close()


def refused(gateway: Running) -> dict[str, int]:
    return dict(gateway.process.counters.handshakes_refused)


def quick(**limits: object) -> dict[str, object]:
    return {"limits": {"handshake_timeout_ms": 500, **limits}}


async def test_a_silent_socket_is_reset_when_its_time_is_over(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway=quick())
    streams = await connect(gateway)
    await until(lambda: gateway.process.http_connections() == 1)
    assert await read_all(streams) is None
    assert refused(gateway) == {"handshake_timeout": 1}
    assert gateway.process.http_connections() == 0


async def test_bytes_that_trickle_in_do_not_buy_time(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway=quick())
    streams = await connect(gateway)
    answer = asyncio.ensure_future(read_all(streams))
    for byte in HEALTH * 100:
        if answer.done():
            break
        streams[1].write(bytes([byte]) if byte not in b"\r\n" else b"x")
        await asyncio.sleep(0.02)
    said = await answer
    assert said is None or said.startswith(b"HTTP/1.1 408 ")
    assert refused(gateway) == {"handshake_timeout": 1}


async def test_of_too_many_half_open_sockets_the_oldest_gives_way(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"limits": {"max_half_open": 3, "handshake_timeout_ms": 60_000}})
    waiting = []
    for number in range(5):
        waiting.append(await connect(gateway))
        await until(lambda number=number: gateway.process.http_connections() == min(number + 1, 3))  # type: ignore[misc]
    assert [await read_all(one) for one in waiting[:2]] == [None, None]
    assert refused(gateway) == {"half_open_full": 2}
    for reader, writer in waiting[2:]:
        writer.write(HEALTH)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"X: " + b"a" * 1900, b"200"),
        (b"X: " + b"a" * 2100, b"431"),
        (b"\r\n".join(b"X%d: y" % number for number in range(5000)), b"431"),
        (b"\r\n".join(b"X%d: y" % number for number in range(140)), b"400"),
    ],
)
async def test_a_head_is_bounded_in_all(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture, fields: bytes, status: bytes
) -> None:
    gateway = await start_gateway(gateway={"limits": {"max_header_bytes": 2048}})
    streams = await connect(gateway)
    streams[1].write(HEALTH[:-2] + fields + b"\r\n\r\n")
    answer = await read_all(streams)
    assert answer is not None
    assert answer.split(maxsplit=2)[1] == status
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]


async def test_the_bound_is_exact_however_the_bytes_arrive(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"limits": {"max_header_bytes": 1024}})
    for size, status in ((1024, b"200"), (1025, b"431")):
        head = HEALTH[:-2] + b"X: "
        head += b"a" * (size - len(head))
        for pieces in ([head + b"\r\n\r\n"], [head[:30], head[30:], b"\r", b"\n\r", b"\n"]):
            streams = await connect(gateway)
            for piece in pieces:
                streams[1].write(piece)
                await streams[1].drain()
                await asyncio.sleep(0.01)
            assert (await read_all(streams) or b"").startswith(b"HTTP/1.1 " + status)
    assert refused(gateway) == {"header_too_large": 2}


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"\r\n\r\n", b"\n", b"\x00", b"get / HTTP/1.1\r\n"])
async def test_what_does_not_begin_as_http_is_told_at_once(start_gateway: StartGateway, data: bytes) -> None:
    gateway = await start_gateway()
    streams = await connect(gateway)
    streams[1].write(data)
    assert (await read_all(streams) or b"").startswith(b"HTTP/1.1 400 ")
    assert refused(gateway) == {"not_http": 1}


async def test_a_public_socket_is_good_for_one_request(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    streams = await connect(gateway)
    streams[1].write(HEALTH * 2)
    answer = await read_all(streams)
    assert answer is not None
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in answer


async def test_an_internal_socket_is_good_for_many_and_not_for_ever(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEPALIVE_TIMEOUT_S", 1.0)
    gateway = await start_gateway(gateway={"internal": {"listen": "127.0.0.1:0"}, **quick()})
    assert gateway.process.internal_address is not None
    port = gateway.process.internal_address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(HEALTH)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    writer.write(HEALTH[:20])
    assert await read_all((reader, writer)) == b""
    assert await read_all(await asyncio.open_connection("127.0.0.1", port)) is None
    assert refused(gateway) == {"handshake_timeout": 1}


async def test_a_client_that_leaves_before_its_request_is_no_refusal(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    for data in (b"", HEALTH[:10]):
        _, writer = await connect(gateway)
        writer.write(data)
        await until(lambda: gateway.process.http_connections() == 1)
        writer.transport.abort()
        await until(lambda: gateway.process.http_connections() == 0)
    assert refused(gateway) == {}


async def test_refusals_are_logged_once_a_second_and_reason_without_the_ticket(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = await start_gateway()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        streams = await connect(gateway)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        streams[1].write(f"GET /v1/ws?tenant=acme&ticket=s3cret HTTP/1.1\r\nHost: x\r\n{upgrade}{key}\r\n".encode())
        assert (await read_all(streams) or b"").startswith(b"HTTP/1.1 401 ")
    lines = [record for record in caplog.records if record.getMessage() == "handshake refused"]
    assert 1 <= len(lines) <= loop.time() - began + 2
    assert {vars(record)["reason"] for record in lines} == {"ticket"}
    assert {vars(record)["remote"] for record in lines} == {"127.0.0.1"}
    assert not [record for record in caplog.records if "s3cret" in str(vars(record))]
    assert refused(gateway) == {"ticket": 20}


async def test_an_announced_frame_that_trickles_in_does_not_keep_a_connection(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"limits": {"max_frame_bytes": 2**21}})
    gateway.process._sweeper.configure(0.1, 0.5)
    client = await RawClient.connect(gateway.port)
    client.send(b"\x82\xff" + (2**20).to_bytes(8, "big") + b"mask")
    closing = asyncio.ensure_future(client.close_code())
    while not closing.done():
        client.send(b"bytes")
        await asyncio.sleep(0.05)
    assert await closing == 4001
    client.abort()


@pytest.mark.parametrize("unix", [False, True])
async def test_a_dead_readers_kernel_buffer_is_small(start_gateway: StartGateway, tmp_path: Path, unix: bool) -> None:
    path = tmp_path / "public.sock"
    gateway = await start_gateway(gateway={"listen": f"unix:{path}"} if unix else None)
    if unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(path))
        reader, writer = await asyncio.open_unix_connection(sock=sock)
    else:
        reader, writer = await connect(gateway)
    writer.write(
        b"GET /v1/ws?tenant=acme&ticket=dev HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    [link] = gateway.process._upgrader.links
    assert isinstance(link, Link)
    accepted = link._transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024  # the kernel doubles it
    if not unix:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 16 * 1024
    assert isinstance(link.session, Session)
    assert link.session.remote_address == ("unix" if unix else "127.0.0.1")
    writer.transport.abort()


@pytest.mark.parametrize("tls", [False, True])
async def test_out_of_descriptors_it_waits_instead_of_spinning(tmp_path: Path, tls: bool) -> None:
    certificate = make_certificate(tmp_path)
    files = f", tls: {{cert_file: {certificate.cert}, key_file: {certificate.key}}}" if tls else ""
    config = f"version: 1\ngateway: {{listen: '127.0.0.1:0'{files}}}\ntenants: [{{id: acme, auth: {{kind: dev}}}}]\n"
    async with GatewayCommand(config, tmp_path) as gateway:
        in_use = len(os.listdir(f"/proc/{gateway.pid}/fd"))
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (in_use + 5, in_use + 5))
        sockets = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(30)]
        before = cpu_s(gateway.pid)
        await asyncio.sleep(1)
        assert cpu_s(gateway.pid) - before < 0.5
        for _, writer in sockets:
            writer.transport.abort()
        base = gateway.base.replace("http:", "https:") if tls else gateway.base
        await let_in(base, ssl=certificate.client_context() if tls else True)


async def test_the_last_descriptors_are_for_health_checks_and_surplus_clients_are_told(tmp_path: Path) -> None:
    config = "version: 1\ngateway: {listen: '127.0.0.1:0'}\ntenants: [{id: acme, auth: {kind: dev}}]\n"
    async with GatewayCommand(config, tmp_path, max_files=128) as gateway, AsyncExitStack() as clients:

        async def fill() -> None:
            for number in range(128):
                await clients.enter_async_context(Client(gateway.base, ticket=f"dev:u{number}"))

        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await fill()
        assert refusal.value.status == 503
        silent = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(128)]
        for path in ("healthz", "readyz", "metrics"):
            async with aiohttp.ClientSession() as http, http.get(f"{gateway.base}/{path}") as answer:
                assert answer.status == 200
        for _, writer in silent:
            writer.transport.abort()
        await gateway.logged("handshake refused")
        assert {one["reason"] for one in gateway.messages() if one["message"] == "handshake refused"} == {
            "out_of_descriptors"
        }
        await clients.aclose()
        await let_in(gateway.base)


@pytest.mark.parametrize(("max_files", "silent"), [(64, 100), (128, 300)])
async def test_silent_sockets_alone_do_not_keep_health_checks_out(tmp_path: Path, max_files: int, silent: int) -> None:
    patient = "{listen: '127.0.0.1:0', limits: {handshake_timeout_ms: 60000}}"  # it is not their time that is over
    config = f"version: 1\ngateway: {patient}\ntenants: [{{id: acme, auth: {{kind: dev}}}}]\n"
    async with GatewayCommand(config, tmp_path, max_files=max_files) as gateway:
        sockets = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(silent)]
        async with asyncio.timeout(30), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{gateway.base}/readyz") as answer:
                        assert answer.status == 200
                        break
                await asyncio.sleep(0.05)
        for _, writer in sockets:
            writer.transport.abort()


@pytest.mark.parametrize(("max_files", "at_once"), [(64, 200), (256, 1000)])
async def test_of_a_burst_that_takes_all_descriptors_everybody_is_answered(
    tmp_path: Path, max_files: int, at_once: int
) -> None:
    config = "version: 1\ngateway: {listen: '127.0.0.1:0'}\ntenants: [{id: acme, auth: {kind: dev}}]\n"
    async with GatewayCommand(config, tmp_path, environment=same_loop(tmp_path), max_files=max_files) as gateway:
        gateway.signal(signal.SIGSTOP)
        sockets = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(at_once)]
        for number, (_, writer) in enumerate(sockets):
            writer.write(handshake(f"dev:u{number}").encode())
        gateway.signal(signal.SIGCONT)
        async with aiohttp.ClientSession() as http, http.get(f"{gateway.base}/readyz") as answer:
            assert answer.status == 200
        answers = Counter([await first_line(reader) for reader, _ in sockets])
        assert set(answers) == {b"101", b"503"}, answers
        assert answers[b"101"] > max_files // 4
        await gateway.logged("handshake refused")
        for _, writer in sockets:
            writer.transport.abort()


async def let_in(base: str, **options: Any) -> None:
    """Somebody, once those who went have given their descriptors back."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                async with Client(base, **options):
                    return
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(0.1)


def same_loop(directory: Path) -> dict[str, str]:
    """The environment of a gateway that has this test's kind of event loop."""
    if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
        return {}
    (directory / "uvloop.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": os.pathsep.join((str(directory), os.environ.get("PYTHONPATH", "")))}


async def first_line(reader: asyncio.StreamReader) -> bytes:
    """The status of the answer, or how there was none."""
    try:
        line = await asyncio.wait_for(reader.readline(), TIMEOUT_S)
    except ConnectionResetError:
        return b"reset"
    except TimeoutError:
        return b"no answer"
    return line.split()[1] if line else b"closed"


async def test_without_a_descriptor_for_anybody_surplus_clients_are_told_so(tmp_path: Path) -> None:
    config = "version: 1\ngateway: {listen: '127.0.0.1:0'}\ntenants: [{id: acme, auth: {kind: dev}}]\n"
    async with GatewayCommand(config, tmp_path) as gateway:
        in_use = set(map(int, os.listdir(f"/proc/{gateway.pid}/fd")))
        lowest_free = min(set(range(len(in_use) + 1)) - in_use)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (lowest_free, lowest_free))
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            told = await asyncio.wait_for(reader.read(), TIMEOUT_S)
            assert told.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in told
            writer.close()
        await gateway.logged("no descriptor is left for another connection")
        await gateway.logged("handshake refused")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
