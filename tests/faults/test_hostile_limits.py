"""A hostile client cannot exceed its tenant's limits, however much it does at once. (tests/property/test_limits.py and
test_tenant_model.py try every interleaving inside; here the attempts arrive on real sockets in one instant.)"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from tests.client import Client, until
from tests.conftest import ACME, Running, StartGateway
from tests.raw import RawClient, client_frame, handshake
from wsprism.policy.decisions import Reason
from wsprism.ports import TicketRefusal, TicketRequest


def join(room: str, seq: int = 0) -> bytes:
    return client_frame(b'{"v":1,"svc":"room","type":"join","room":"%s","seq":%d}' % (room.encode(), seq))


async def statuses(gateway: Running, tickets: list[str]) -> tuple[Counter[str], list[asyncio.StreamWriter]]:
    """How many handshakes got which status, all of them sent before any answer is read."""
    sockets = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in tickets]
    for (_, writer), ticket in zip(sockets, tickets, strict=True):
        writer.write(handshake(ticket).encode())
    heads = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30) for reader, _ in sockets]
    return Counter(head.split()[1].decode() for head in heads), [writer for _, writer in sockets]


async def status(gateway: Running) -> str:
    """What one handshake is answered."""
    found, writers = await statuses(gateway, ["dev"])
    writers[0].close()
    await writers[0].wait_closed()
    return next(iter(found))


async def test_handshakes_in_one_instant_do_not_overfill_a_tenant(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"limits": {"max_sessions_total": 7}})
    tenant = next(iter(gateway.process.tenants()))
    for _ in range(3):
        found, writers = await statuses(gateway, [f"dev:u{number}" for number in range(40)])
        assert found == {"101": 7, "503": 33}
        assert tenant.sessions == 7
        for writer in writers:
            writer.transport.abort()
        await until(lambda: tenant.sessions == 0 and gateway.process.connections() == 0)


async def test_one_user_in_one_instant_gets_no_session_too_many(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"sessions": {"max_sessions_per_user": 3}}})
    tenant = next(iter(gateway.process.tenants()))
    found, writers = await statuses(gateway, ["dev:eve"] * 30)
    assert found == {"101": 30}
    assert tenant.sessions == 3
    assert tenant.counters.sessions_opened == 3
    assert tenant.counters.decisions[Reason.TOO_MANY_SESSIONS] == 27
    for writer in writers:
        writer.transport.abort()


async def test_joins_in_one_instant_do_not_overfill_a_room_a_user_or_a_tenant(start_gateway: StartGateway) -> None:
    limits = {"max_users_per_room": 3, "max_rooms_per_user": 2, "max_rooms_total": 4}
    gateway = await start_gateway(acme={"limits": limits})
    registry = next(iter(gateway.process.tenants())).registry
    clients = [await RawClient.connect(gateway.port, f"dev:u{number % 8}") for number in range(16)]
    for client in clients:
        client.send(*[join(f"r{number}", number) for number in range(10)])
    for client in clients:
        answers = [json.loads((await client.frame())[1])["type"] for _ in range(10)]
        assert set(answers) <= {"joined", "error"}
        assert len(registry.rooms) <= 4
    assert all(len(entry.users) <= 3 for entry in registry.rooms.values())
    assert all(registry.rooms_of_user(f"user:u{number}") <= 2 for number in range(8))
    assert len(registry.rooms) == 4
    for client in clients:
        client.abort()


async def test_both_lanes_in_one_segment_share_one_rate_limit(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"rate_limit_rps": 0.001, "rate_limit_burst": 20}})
    tenant = next(iter(gateway.process.tenants()))
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        eve = await RawClient.connect(gateway.port, "dev:eve")
        eve.send(join("r"))
        await eve.frame()
        chat = client_frame(b'{"v":1,"svc":"chat","type":"send","data":{"msg":"x"}}')
        hot = client_frame(b"\x01\x01\x00x", opcode=2)
        fragmented = client_frame(b"\x01\x01", opcode=2, fin=False) + client_frame(b"\x00x", opcode=0)
        ping = client_frame(b'{"v":1,"svc":"sys","type":"ping"}')
        eve.send(*[chat, hot, fragmented, ping, client_frame(b"nonsense")] * 40)
        decisions = tenant.counters.decisions
        await until(lambda: decisions[Reason.RATE_LIMITED_EXT] + decisions[Reason.RATE_LIMITED_HOT] == 200 - 19)
        for _ in range(4 + 8):
            await ann.receive_frame()
        await ann.expect_silence()
        eve.abort()


async def test_several_sockets_share_a_tenants_rate_limit(start_gateway: StartGateway) -> None:
    policy = {"rate_limit_rps": 0.001, "rate_limit_burst": 30, "rate_limit_scope": "tenant"}
    gateway = await start_gateway(acme={"policy": policy})
    tenant = next(iter(gateway.process.tenants()))
    clients = [await RawClient.connect(gateway.port, f"dev:u{number}") for number in range(5)]
    for client in clients:
        client.send(*[client_frame(b'{"v":1,"svc":"sys","type":"ping"}')] * 20)
    answers = Counter([json.loads((await client.frame())[1])["type"] for client in clients for _ in range(20)])
    assert answers == {"pong": 30, "error": 70}
    assert tenant.counters.decisions[Reason.RATE_LIMITED_EXT] == 70
    for client in clients:
        client.abort()


async def test_handshakes_that_wait_for_a_slow_judge_are_bounded_for_each_tenant(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(gateway={"limits": {"max_half_open": 5}}, tenants=[ACME | {"id": "other"}])
    acme = next(iter(gateway.process.tenants()))
    judged = asyncio.Event()
    judging = 0

    async def slowly(_: TicketRequest) -> TicketRefusal:
        nonlocal judging
        judging += 1
        await judged.wait()
        return TicketRefusal.REFUSED

    monkeypatch.setattr(acme.authenticator, "authenticate", slowly)
    waiting = [asyncio.create_task(status(gateway)) for _ in range(5)]
    await until(lambda: judging == 5)
    assert await status(gateway) == "503"
    async with Client(gateway.base, tenant="other"):
        pass
    judged.set()
    assert [await one for one in waiting] == ["401"] * 5
    assert await status(gateway) == "401"
