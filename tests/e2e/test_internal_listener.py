"""With ``gateway.internal.listen`` what operators ask for is on a listener of its own, and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.conftest import StartGateway
from tests.e2e.test_process import DEFAULT_CONFIG
from tests.process import GatewayCommand
from wsprism.composition.app import GatewayProcess
from wsprism.errors import OperatorError
from wsprism.settings import load_settings

OPERATORS = ("/readyz", "/metrics")


async def status(base: str, path: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(base + path) as response:
        return response.status


async def test_without_it_the_public_listener_answers_operators(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    assert gateway.process.internal_address is None
    assert [await status(gateway.base, path) for path in ("/healthz", *OPERATORS)] == [200, 200, 200]


async def test_with_it_the_public_listener_serves_clients_and_health_only(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"internal": {"listen": "127.0.0.1:0"}})
    assert gateway.process.internal_address is not None
    internal = f"http://{gateway.process.internal_address}"
    assert internal != gateway.base
    assert [await status(internal, path) for path in ("/healthz", *OPERATORS)] == [200, 200, 200]
    assert [await status(gateway.base, path) for path in ("/healthz", *OPERATORS)] == [200, 404, 404]
    assert await status(internal, "/v1/ws?tenant=acme&ticket=dev") == 401
    async with Client(gateway.base):
        pass


async def test_it_may_be_a_unix_socket(start_gateway: StartGateway, tmp_path: Path) -> None:
    path = tmp_path / "internal.sock"
    gateway = await start_gateway(gateway={"internal": {"listen": f"unix:{path}"}})
    assert str(gateway.process.internal_address) == f"unix:{path}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://gateway/readyz") as response,
    ):
        assert response.status == 200


async def test_a_draining_gateway_says_so_there(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(gateway={"internal": {"listen": "127.0.0.1:0"}})
    gateway.process.begin_drain()
    assert await status(f"http://{gateway.process.internal_address}", "/readyz") == 503


async def test_the_start_names_both_listeners(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace("gateway:\n", "gateway:\n  internal: {listen: '127.0.0.1:0'}\n")
    async with GatewayCommand(config, tmp_path) as gateway:
        assert await status(gateway.internal_base, "/readyz") == 200
        assert f"Internal listener at 127.0.0.1:{gateway.internal_port}" in [
            one["message"] for one in gateway.messages()
        ]


async def test_when_the_public_address_is_taken_the_internal_listener_is_given_back(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway()
    path = tmp_path / "second.yaml"
    path.write_text(DEFAULT_CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{gateway.port}"))
    internal = {"listen": f"unix:{tmp_path}/second.sock"}
    path.write_text(path.read_text().replace("gateway:\n", f"gateway:\n  internal: {internal}\n"))
    second = GatewayProcess(load_settings(path, {}))
    with pytest.raises(OperatorError, match="cannot listen"):
        await second.start()
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(tmp_path / "second.sock")
    await second.stop()
