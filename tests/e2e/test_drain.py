"""The drain over real sockets: order of events, a storm of clients that obey the hint, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
from collections import Counter, defaultdict
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.process import GatewayCommand
from tests.raw import RawClient, client_frame
from tests.required import skip_unless_required

STORM = 2000
STORM_GRACE_MS = 4000
PATIENCE_S = 60.0

CONFIG = """
version: 1
gateway: {{listen: "127.0.0.1:0", drain_grace_ms: {grace_ms}}}
tenants: [{{id: acme, auth: {{kind: dev}}, policy: {{sessions: {{max_sessions_per_user: 0}}}}}}]
"""


async def test_readiness_fails_and_nobody_is_let_in_while_those_connected_are_told(start_gateway: StartGateway) -> None:
    running = await start_gateway(gateway={"drain_grace_ms": 60_000})
    async with Client(running.base) as client, aiohttp.ClientSession() as session:
        running.process.begin_drain()
        running.process.begin_drain()
        told = await client.receive()
        assert (told["svc"], told["type"]) == ("sys", "draining")
        assert 1 <= told["data"]["reconnect_after_ms"] <= 60_000
        async with session.get(running.base + "/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "draining"})
        async with session.get(running.base + "/healthz") as response:
            assert response.status == 200
        async with session.get(running.base + "/v1/ws?tenant=acme&ticket=dev") as response:
            assert response.status == 503
            assert "Retry-After" in response.headers
        await client.expect_silence()


async def test_a_balancer_has_its_time_to_notice_also_when_nobody_is_connected(start_gateway: StartGateway) -> None:
    running = await start_gateway(gateway={"drain_grace_ms": 0, "drain_notice_ms": 2000})
    loop = asyncio.get_running_loop()
    began = loop.time()
    drained = asyncio.ensure_future(running.process.drain())
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            async with session.get(running.base + "/readyz") as response:
                assert response.status == 503
            await asyncio.sleep(0.02)
    await drained
    assert 2.0 <= loop.time() - began < 60


async def test_a_second_signal_does_not_wait_for_balancers(start_gateway: StartGateway) -> None:
    running = await start_gateway(gateway={"drain_grace_ms": 0, "drain_notice_ms": 60_000})
    drained = asyncio.ensure_future(running.process.drain())
    await asyncio.sleep(0.2)
    running.process.end_drain()
    await asyncio.wait_for(drained, 30)


async def test_a_handshake_that_is_under_way_when_the_drain_begins_is_refused(start_gateway: StartGateway) -> None:
    running = await start_gateway(gateway={"drain_grace_ms": 60_000})
    tenant = next(iter(running.process.tenants()))
    ask = tenant.ref.ask

    async def drain_then_ask(message: object, timeout_s: float) -> object:
        answer = await ask(message, timeout_s)
        running.process.begin_drain()
        return answer

    class Ref:
        ask = staticmethod(drain_then_ask)

    real, tenant.ref = tenant.ref, Ref()  # type: ignore[assignment]
    try:
        async with aiohttp.ClientSession() as session:
            headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
            headers["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
            async with session.get(running.base + "/v1/ws?tenant=acme&ticket=dev", headers=headers) as response:
                assert response.status == 503
        await until(lambda: tenant.sessions == 0)
    finally:
        tenant.ref = real


async def test_a_second_signal_ends_it_at_once_with_code_0(tmp_path: Path) -> None:
    async with GatewayCommand(CONFIG.format(grace_ms=60_000), tmp_path) as gateway:
        client = await RawClient.connect(gateway.port)
        gateway.signal(signal.SIGTERM)
        assert json.loads((await client.frame())[1])["type"] == "draining"
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(30) == 0
        client.abort()


async def test_without_a_grace_clients_are_still_told_and_closed_1001(tmp_path: Path) -> None:
    async with GatewayCommand(CONFIG.format(grace_ms=0), tmp_path) as gateway:
        client = await RawClient.connect(gateway.port)
        gateway.signal(signal.SIGTERM)
        assert json.loads((await client.frame())[1])["type"] == "draining"
        assert await client.close_code() == 1001
        assert await gateway.wait(30) == 0
        client.abort()


@pytest.mark.alone
async def test_2000_clients_that_obey_the_hint_come_back_spread_out(tmp_path: Path) -> None:
    """They leave one gateway and come to another, which is where the storm would be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < STORM + 500:
        skip_unless_required(f"{hard} open files are too few for {STORM} clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        old_directory, new_directory = tmp_path / "old", tmp_path / "new"
        old_directory.mkdir()
        new_directory.mkdir()
        patient = f"{STORM_GRACE_MS}, limits: {{handshake_timeout_ms: 60000, max_half_open: {STORM}}}"
        config = CONFIG.format(grace_ms=patient)  # clients that share a machine may be slow to speak
        async with GatewayCommand(config, old_directory) as old, GatewayCommand(config, new_directory) as new:
            delays_ms, returned = await storm(old, new)
            new.signal(signal.SIGTERM)
            assert await new.wait(PATIENCE_S) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    tenths = Counter(delay_ms * 10 // (STORM_GRACE_MS + 1) for delay_ms in delays_ms)
    assert all(0.9 * STORM / 10 <= tenths[number] <= 1.1 * STORM / 10 for number in range(10)), tenths
    assert len(returned) == STORM
    quarters = Counter(int((at - min(returned)) * 1000 * 4 // STORM_GRACE_MS) for at in returned)
    assert max(quarters.values()) <= STORM * 3 / 4, quarters  # a machine that pauses makes one of two


async def storm(old: GatewayCommand, new: GatewayCommand) -> tuple[list[int], list[float]]:
    """Every client's hint, and when each was connected again (seconds of the loop's clock)."""
    loop = asyncio.get_running_loop()
    clients: list[RawClient] = []
    for first in range(0, STORM, 100):
        tickets = [f"dev:{number}" for number in range(first, first + 100)]
        clients += await asyncio.gather(*(RawClient.connect(old.port, ticket) for ticket in tickets))
    old.signal(signal.SIGTERM)

    async def obey(client: RawClient, number: int) -> tuple[int, float]:
        delay_ms = int(json.loads((await client.frame())[1])["data"]["reconnect_after_ms"])
        told_at = loop.time()
        assert (await client.frame(PATIENCE_S))[0] == 8
        client.send(client_frame((1001).to_bytes(2, "big"), opcode=8))
        client.writer.close()
        await asyncio.sleep(told_at + delay_ms / 1000 - loop.time())
        again = await RawClient.connect(new.port, f"dev:{number}")
        at = loop.time()
        again.abort()
        return delay_ms, at

    pairs = await asyncio.gather(*(obey(client, number) for number, client in enumerate(clients)))
    assert await old.wait(PATIENCE_S) == 0
    return [delay_ms for delay_ms, _ in pairs], [at for _, at in pairs]


async def test_under_traffic_nobody_misses_a_message_before_its_own_close(start_gateway: StartGateway) -> None:
    running = await start_gateway(gateway={"drain_grace_ms": 1500})
    clients = [Client(running.base, ticket=f"dev:{number}") for number in range(10)]
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        for client in clients:
            await client.join("lobby")

        async def talk(client: Client) -> None:
            with contextlib.suppress(ConnectionError):
                for number in range(10_000):
                    await client.send("chat", "send", {"msg": str(number)}, room="lobby")
                    await asyncio.sleep(0.005)

        async def listen(client: Client) -> tuple[dict[str, list[int]], int, int | None]:
            heard: dict[str, list[int]] = defaultdict(list)
            heard_by_each.append(heard)
            hints = 0
            while (frame := await client.receive_frame()).type is aiohttp.WSMsgType.TEXT:
                message = json.loads(frame.data)
                if message["type"] == "msg":
                    heard[message["data"]["from"]].append(int(message["data"]["msg"]))
                hints += message["type"] == "draining"
            return heard, hints, client.ws.close_code

        heard_by_each: list[dict[str, list[int]]] = []
        talking = [asyncio.create_task(talk(client)) for client in clients]
        listening = [asyncio.create_task(listen(client)) for client in clients]
        await until(lambda: [len(heard) for heard in heard_by_each] == [len(clients)] * len(clients))
        await running.process.drain()
        heard_by = await asyncio.gather(*listening)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
    for heard, hints, code in heard_by:
        assert (hints, code) == (1, 1001)
        assert len(heard) == len(clients)
        assert all(numbers == list(range(numbers[0], numbers[-1] + 1)) for numbers in heard.values())
    assert running.process.counters.write_stalls == 0
