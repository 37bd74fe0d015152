"""The shipped configurations of nginx, HAProxy and Caddy, each in front of real gateways."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.certificates import Certificate, make_certificate
from tests.client import Client, connect_url, until
from tests.conftest import Running, StartGateway
from tests.proxies import PROXIES, run_proxy
from wsprism.transport.http.probes import Probes

every_proxy = pytest.mark.parametrize("name", list(PROXIES))


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@every_proxy
async def test_both_lanes_and_refusals_pass_and_tickets_stay_out_of_the_log(
    name: str, start_gateway: StartGateway, tmp_path: Path, certificate: Certificate
) -> None:
    gateway = await start_gateway()
    tls = certificate.client_context()
    async with run_proxy(name, tmp_path, [_address(gateway)], certificate) as proxy:
        await _until_healthy(proxy.base, certificate)
        async with (
            Client(proxy.base, ticket="dev:ann", ssl=tls) as ann,
            Client(proxy.base, ticket="dev:bob", ssl=tls) as bob,
        ):
            await ann.join("match:1")
            await bob.join("match:1")
            await ann.send("chat", "send", {"msg": "x" * 3000})
            assert await ann.receive() == await bob.receive()
            await ann.ws.send_bytes(b"\x01\x01\x00hot")
            assert await bob.receive_hot() == b"\x01\x01\x00hot"
        async with aiohttp.ClientSession() as session:
            for path, status in (("/metrics", 404), ("/v1/ws/x", 404), ("/healthz", 200)):
                async with session.get(proxy.base + path, ssl=tls) as response:
                    assert (path, response.status) == (path, status)
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await session.ws_connect(connect_url(proxy.base, ticket="not-let-in"), ssl=tls)
    assert "/v1/ws" in proxy.logged()
    assert "dev:ann" not in proxy.logged()
    assert "not-let-in" not in proxy.logged()


@pytest.mark.parametrize(
    ("name", "listen"), [*((name, "127.0.0.1:0") for name in PROXIES), ("nginx", "unix:{directory}/gateway.sock")]
)
async def test_the_gateway_sees_the_clients_address_and_not_what_the_client_says_it_is(
    name: str,
    listen: str,
    start_gateway: StartGateway,
    tmp_path: Path,
    certificate: Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = {"listen": listen.format(directory=tmp_path), "trusted_proxies": ["127.0.0.1/32"]}
    gateway = await start_gateway(gateway=settings)
    lies = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    caplog.set_level("INFO", logger="wsprism")
    async with run_proxy(name, tmp_path, [_address(gateway)], certificate) as proxy:
        await _until_healthy(proxy.base, certificate)
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0), ssl=certificate.client_context())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(connect_url(proxy.base), headers=lies) as client,
        ):
            await client.receive(timeout=30)
    addresses = [getattr(record, "remote", None) for record in caplog.records if "opened" in record.message]
    assert addresses == ["127.0.0.2"]


@every_proxy
async def test_a_tenant_meets_at_one_gateway_until_that_drains_and_then_at_the_other(
    name: str,
    start_gateway: StartGateway,
    tmp_path: Path,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks: Counter[int] = Counter()
    readiness = Probes._readyz

    async def counted(self: Probes, request: web.BaseRequest) -> web.StreamResponse:
        checks[id(self)] += 1
        return await readiness(self, request)

    monkeypatch.setattr(Probes, "_readyz", counted)
    gateways = [await start_gateway() for _ in range(2)]
    tls = certificate.client_context()
    async with (
        run_proxy(name, tmp_path, [_address(gateway) for gateway in gateways], certificate) as proxy,
        contextlib.AsyncExitStack() as stack,
    ):
        await _until_healthy(proxy.base, certificate)
        if name != "nginx":  # who is asked again has been found healthy before; until both are, nobody has a place
            await until(lambda: [count > 1 for count in checks.values()] == [True, True])
        clients = [await stack.enter_async_context(Client(proxy.base, ssl=tls)) for _ in range(4)]
        first, second = sorted(gateways, key=lambda gateway: -gateway.process.connections())
        assert (first.process.connections(), second.process.connections()) == (4, 0)
        first.process.begin_drain()
        for client in clients:
            assert (await client.receive())["type"] == "draining"
            assert (await client.expect_close())[0] == 1001
        if name == "caddy":  # it asks nobody else when a gateway refuses: its next health check takes that one out
            await until(lambda: "unexpected status code" in proxy.logged())
        for _ in range(4):
            await stack.enter_async_context(Client(proxy.base, ssl=tls))
        assert second.process.connections() == 4


async def test_a_new_version_takes_over_behind_nginx_and_the_old_one_drains(
    start_gateway: StartGateway, tmp_path: Path, certificate: Certificate
) -> None:
    old, new = await start_gateway(), await start_gateway()
    tls = certificate.client_context()
    async with run_proxy("nginx", tmp_path, [_address(old)], certificate) as proxy, Client(proxy.base, ssl=tls) as ann:
        site = proxy.directory / "site.conf"
        site.write_text(site.read_text().replace(_address(old), _address(new)))
        proxy.process.send_signal(signal.SIGHUP)
        taken_over = False
        async with asyncio.timeout(60):
            while not taken_over:
                async with Client(proxy.base, ssl=tls):
                    taken_over = new.process.connections() == 1
        await ann.join("match:1")  # what stands is kept by the reload
        old.process.begin_drain()
        assert (await ann.receive())["type"] == "draining"
        assert (await ann.expect_close())[0] == 1001


async def test_pings_keep_a_silent_connection_and_without_them_the_proxy_cuts_it(
    start_gateway: StartGateway, tmp_path: Path, certificate: Certificate
) -> None:
    pinged = await start_gateway(gateway={"ping_interval_ms": 5000})
    silent = await start_gateway(gateway={"ping_interval_ms": 50000})

    async def silence(name: str, gateway: Running, silence_s: int) -> tuple[str, float]:
        """How many seconds of silence, 10 at most, the connection lived."""
        async with (
            run_proxy(name, tmp_path, [_address(gateway)], certificate, silence_s) as proxy,
            Client(proxy.base, ssl=certificate.client_context()) as client,
        ):
            start = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    while (await client.ws.receive()).type is aiohttp.WSMsgType.PING:
                        pass
            return name, time.monotonic() - start

    lived = await asyncio.gather(
        *(silence(name, pinged, 8) for name in ("nginx", "haproxy")),
        *(silence(name, silent, 2) for name in ("nginx", "haproxy")),
    )
    assert [time_s > 9 for _, time_s in lived] == [True, True, False, False], lived


def _address(gateway: Running) -> str:
    return str(gateway.process.address)


async def _until_healthy(base: str, certificate: Certificate) -> None:
    """HAProxy and Caddy use a gateway only after its first check."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(base + "/healthz", ssl=certificate.client_context()) as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.05)
