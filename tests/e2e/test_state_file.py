"""``gateway.state_file``: what a real process still knows after it was killed, and after it has ended by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError

from tests.api import ADMIN, Backend
from tests.client import Client
from tests.components import free_port
from tests.process import GatewayCommand

ACME = "/v1/tenants/acme"
MESSAGE = {"svc": "a", "type": "b"}
CONFIG = """
version: 1
gateway:
  listen: 127.0.0.1:0
  state_file: state.db
  internal: {{listen: "127.0.0.1:{port}", api_keys: [{{name: admin, key: {key}}}]}}
tenants:
- id: acme
  auth: [{{kind: dev}}, {{kind: one_time}}]
  policy: {{ext_allowlist: ["room:*"]}}
"""

Start = Callable[[], GatewayCommand]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return lambda: GatewayCommand(CONFIG.format(port=free_port(), key=ADMIN), tmp_path)


async def generation(backend: Backend) -> int:
    return int((await backend.get(f"{ACME}/sessions")).json["items"][0]["generation"])


async def end(gateway: GatewayCommand, number: signal.Signals) -> None:
    gateway.signal(number)
    await gateway.wait(60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restarted_gateway_knows_what_it_must_not_forget(start: Start, number: signal.Signals) -> None:
    key = {"Idempotency-Key": "order-7"}
    async with start() as gateway, Backend(gateway.internal_base) as backend:
        used, unused = [
            (await backend.post(f"{ACME}/tickets", {"user": "ann", "ttl_s": 600, "rooms": ["hall:*"]})).json["ticket"]
            for _ in range(2)
        ]
        async with Client(gateway.base, ticket=used, sid="s"), Client(gateway.base, ticket="dev:bob") as bob:
            assert (await backend.post(f"{ACME}/broadcast", MESSAGE, headers=key)).json == {"sessions": 2}
            await bob.receive()
            before = await generation(backend)
        answer = await backend.post(f"{ACME}/revoke", {"user": "user:eve", "until_s": 4e9, "reason": "spam"})
        assert answer.status == 200  # all that was changed before is on the disk too
        await end(gateway, number)
    async with start() as gateway, Backend(gateway.internal_base) as backend:
        shown = [{"what": "user", "name": "user:eve", "until_s": 4e9, "reason": "spam"}]
        assert (await backend.get(f"{ACME}/revocations")).json["items"] == shown
        assert (await backend.post(f"{ACME}/broadcast", MESSAGE, headers=key)).json == {"sessions": 2}
        for ticket in ("dev:eve", used):
            with pytest.raises(WSServerHandshakeError):
                await Client(gateway.base, ticket=ticket).__aenter__()
        async with Client(gateway.base, ticket=unused) as ann:
            assert await generation(backend) > before
            await ann.join("hall:1")
        with pytest.raises(WSServerHandshakeError):
            await Client(gateway.base, ticket=unused).__aenter__()
        assert (await backend.call("DELETE", f"{ACME}/revocations/user/user%3Aeve")).json == {"revocations": 1}
        await end(gateway, signal.SIGKILL)
    async with start() as gateway, Client(gateway.base, ticket="dev:eve"):
        pass


async def test_a_file_that_is_not_ours_stops_the_start_and_stays_as_it_is(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.write_bytes(b"something else" * 10)
    with pytest.raises(RuntimeError, match=r"gateway\.state_file: must be a file that a gateway has made"):
        await start().__aenter__()
    assert file.read_bytes() == b"something else" * 10


async def test_a_second_gateway_does_not_start(start: Start) -> None:
    async with start():
        with pytest.raises(RuntimeError, match="in use by another gateway"):
            await start().__aenter__()
