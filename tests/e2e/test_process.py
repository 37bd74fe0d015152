"""The gateway as a process: what it prints, how it ends, and what the README's session shows."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.components import program
from tests.process import GatewayCommand
from tests.required import skip_unless_required

ROOT = Path(__file__).parents[2]
DEFAULT_CONFIG = (ROOT / "config" / "wsprism.yaml").read_text().replace("0.0.0.0:8080", "127.0.0.1:0")


async def test_the_default_configuration_serves_two_clients_and_drains_on_sigterm(tmp_path: Path) -> None:
    async with GatewayCommand(DEFAULT_CONFIG, tmp_path) as gateway:
        async with Client(gateway.base, ticket="dev") as ann, Client(gateway.base, ticket="dev:bob") as bob:
            await ann.join("match:1")
            await bob.join("match:1")
            await ann.send("chat", "send", {"msg": "Hello World"}, room="match:1", seq=7)
            assert await ann.receive() == await bob.receive()
            frame = bytes.fromhex("010100deadbeef")
            await bob.ws.send_bytes(frame)
            assert await ann.receive_hot() == await bob.receive_hot() == frame
            gateway.signal(signal.SIGTERM)
            for client in (ann, bob):
                draining = await client.receive()
                assert draining["type"] == "draining"
                assert draining["data"]["reconnect_after_ms"] >= 0
                assert (await client.expect_close())[0] == 1001
        assert await gateway.wait(60) == 0
    said = [str(record["message"]) for record in gateway.messages()]
    assert f"🚀 wsPrism Gateway active at 127.0.0.1:{gateway.port}" in said
    assert 'Loaded configuration for tenant: "acme"' in said
    assert gateway.said.splitlines() == said[:3]
    assert said.count("connection opened") == said.count("connection closed") == 2
    assert not [record for record in gateway.messages() if record["level"] in ("error", "critical")]


async def test_a_client_that_ignores_the_close_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace("gateway:\n", "gateway:\n  drain_grace_ms: 300\n")
    async with GatewayCommand(config, tmp_path) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            b"GET /v1/ws?tenant=acme&ticket=dev HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with Client(gateway.base):
            gateway.signal(signal.SIGINT)
            assert await gateway.wait(20) == 0
        writer.transport.abort()


async def test_health_readiness_and_metrics_are_served(tmp_path: Path) -> None:
    async with GatewayCommand(DEFAULT_CONFIG, tmp_path) as gateway, aiohttp.ClientSession() as session:
        async with Client(gateway.base) as client:
            await client.join("r")
            await client.send("chat", "send", {"msg": "x"})
            await client.receive()
            for path in ("/healthz", "/readyz"):
                async with session.get(gateway.base + path) as response:
                    assert response.status == 200
            async with session.get(gateway.base + "/metrics") as response:
                text = await response.text()
        for line in (
            'wsprism_sessions{tenant="acme"} 1.0',
            'wsprism_rooms{tenant="acme"} 1.0',
            'wsprism_messages_received_total{lane="ext",tenant="acme"} 2.0',
            'wsprism_queue_sent_total{class="reliable",tenant="acme"} 3.0',
        ):
            assert line in text, text


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("version: 1\ntenants: []\n", "tenants"),
        ("version: 1\ntenants: [{id: a, limits: {max_frame_byte: 1}}]\n", "did you mean max_frame_bytes?"),
        (":", "is not YAML"),
    ],
)
async def test_a_bad_configuration_stops_the_start_with_code_2(tmp_path: Path, config: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wsprism", "start", "--config", str(path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert expected in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_an_address_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    async with GatewayCommand(DEFAULT_CONFIG, tmp_path) as gateway:
        path = tmp_path / "second.yaml"
        path.write_text(DEFAULT_CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{gateway.port}"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wsprism", "--config", str(path), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert f"cannot listen on 127.0.0.1:{gateway.port}" in errors.decode()
        assert "Traceback" not in errors.decode()


NODE_CLIENT = """
let Socket = globalThis.WebSocket;
try { Socket = require('ws'); } catch { /* Node's own */ }
if (!Socket) { console.log('no WebSocket'); process.exit(0); }
const socket = new Socket(process.argv[1]);
socket.binaryType = 'arraybuffer';
const say = (m) => socket.send(JSON.stringify({v: 1, ...m}));
socket.onmessage = (event) => {
  if (typeof event.data !== 'string') {
    console.log(Buffer.from(event.data).toString('hex'));
    socket.close(1000);
    return;
  }
  const m = JSON.parse(event.data);
  console.log(m.type);
  if (m.type === 'authed') say({svc: 'room', type: 'join', room: 'match:1'});
  if (m.type === 'joined') say({svc: 'chat', type: 'send', data: {msg: 'from node'}});
  if (m.type === 'msg') socket.send(new Uint8Array([1, 1, 0, 0xde, 0xad, 0xbe, 0xef]));
};
socket.onclose = (event) => console.log('closed', event.code);
"""


async def test_a_client_that_is_not_python_speaks_both_lanes(tmp_path: Path) -> None:
    node = program("node")
    async with GatewayCommand(DEFAULT_CONFIG, tmp_path) as gateway:
        url = f"ws://127.0.0.1:{gateway.port}/v1/ws?tenant=acme&ticket=dev"
        process = await asyncio.create_subprocess_exec(
            node, "--experimental-websocket", "-e", NODE_CLIENT, url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    if out == b"no WebSocket\n":
        skip_unless_required("node has neither a WebSocket of its own nor the package ws")
    assert out.decode().split("\n")[:-1] == ["authed", "joined", "msg", "010100deadbeef", "closed 1000"]
