"""No ticket, key or payload is in a log, in a metric or in a trace, whatever way it came in."""

from __future__ import annotations

import base64
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.otlp_receiver import otlp_http
from tests.process import GatewayCommand

_CONFIGURATION = """\
version: 1
gateway:
  listen: 127.0.0.1:0
  drain_grace_ms: 0
  tracing: {{endpoint: "{endpoint}", sample_ratio: 1, headers: {{x-key: SECRET-header}}}}
  metrics: {{otlp_endpoint: "{endpoint}", interval_s: 1}}
logging: {{format: {format}, level: debug}}
tenants:
  - id: acme
    auth:
      kind: tokens
      tokens: {{SECRET-query: ann, SECRET-bearer: ann, SECRET-subprotocol: ann, SECRET-refresh: ann}}
    policy: {{ext_allowlist: ["room:*", "chat:*"], hot_allowlist: ["1:*"]}}
"""


@pytest.mark.parametrize("format", ["json", "console"])
async def test_what_is_secret_stays_so(tmp_path: Path, format: str) -> None:
    async with otlp_http() as received:
        config = _CONFIGURATION.format(endpoint=received.endpoint, format=format)
        async with GatewayCommand(config, tmp_path) as gateway, aiohttp.ClientSession() as session:
            bearer = {"Authorization": "Bearer SECRET-bearer"}
            entry = "ticket." + base64.urlsafe_b64encode(b"SECRET-subprotocol").decode().rstrip("=")
            async with (
                Client(gateway.base, ticket="SECRET-query") as ann,
                session.ws_connect(f"{gateway.base}/v1/ws?tenant=acme", headers=bearer),
                session.ws_connect(f"{gateway.base}/v1/ws?tenant=acme", protocols=("wsprism.v1", entry)),
            ):
                await ann.join("lobby")
                await ann.send("chat", "send", {"msg": "SECRET-payload"})
                await ann.receive()
                await ann.ws.send_bytes(b"\x01\x00\x00SECRET-state")
                await ann.receive_hot()
                await ann.send("sys", "refresh", {"ticket": "SECRET-refresh"})
                await ann.receive()
                await ann.send("sys", "refresh", {"ticket": "SECRET-wrong-refresh"})
                await ann.send("chat", "send", {"SECRET-field": 1})
                await ann.ws.send_str('{"v":1,"svc":"chat","SECRET-unknown":"SECRET-value"}')
                await ann.ws.send_bytes(b"\xeeSECRET-hot")
                for _ in range(4):
                    assert (await ann.receive())["type"] == "error"
            for wrong in ("?tenant=acme&ticket=SECRET-wrong", "?tenant=SECRET-tenant&ticket=SECRET-query"):
                async with session.get(f"{gateway.base}/v1/ws{wrong}") as response:
                    assert response.status >= 400
            async with session.get(gateway.base + "/metrics") as response:
                metrics = await response.text()
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait(60) == 0
        told = "".join(gateway.log) + gateway.said + metrics + str(received.traces) + str(received.metrics)
        assert "connection closed" in told
        assert received.headers["x-key"] == "SECRET-header"
        assert received.spans()
        assert not re.findall("SECRET[-a-z]*", told)
        assert base64.urlsafe_b64encode(b"SECRET-subprotocol").decode().rstrip("=") not in told
