"""Every error that a client can meet, seen on the wire: before the upgrade, in both lanes, and as a Close."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.client import Client, connect_url, until
from tests.conftest import Running, StartGateway
from wsprism.protocol.codes import CloseCode

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def handshake(gateway: Running, path: str, **headers: str) -> tuple[int, dict[str, str], dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.base}{path}", headers=UPGRADE | headers) as response,
    ):
        return response.status, await response.json(), dict(response.headers)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/ws?ticket=dev", 400, "BAD_REQUEST"),
        ("/v1/ws?tenant=nobody&ticket=dev", 400, "BAD_REQUEST"),
        ("/v1/ws?tenant=acme", 401, "AUTH_FAILED"),
        ("/v1/ws?tenant=acme&ticket=wrong", 401, "AUTH_FAILED"),
        ("/v1/ws?tenant=acme&ticket=dev&sid=a%20b", 400, "BAD_REQUEST"),
        ("/nowhere", 404, "BAD_REQUEST"),
    ],
)
async def test_a_refused_handshake_says_why_as_json(
    start_gateway: StartGateway, path: str, status: int, code: str
) -> None:
    gateway = await start_gateway()
    got, body, _ = await handshake(gateway, path)
    assert (got, body["code"]) == (status, code)
    assert set(body) == {"code", "msg"}


async def test_a_draining_gateway_takes_nobody_new(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    gateway.process.begin_drain()
    assert (await handshake(gateway, "/v1/ws?tenant=acme&ticket=dev"))[0] == 503
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.base}/readyz") as response:
        assert response.status == 503


async def test_too_many_handshakes_are_told_when_to_come_back(start_gateway: StartGateway) -> None:
    limit = {"enabled": True, "per_ip_rps": 0.1, "per_ip_burst": 2}
    gateway = await start_gateway(gateway={"handshake_limit": limit})
    statuses = [await handshake(gateway, "/v1/ws?tenant=acme&ticket=wrong") for _ in range(3)]
    assert [status for status, _, _ in statuses] == [401, 401, 429]
    assert 1 <= int(statuses[2][2]["Retry-After"]) <= 10


async def test_a_full_tenant_answers_503_until_a_session_ends(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"limits": {"max_sessions_total": 1}})
    async with Client(gateway.base):
        status, _, headers = await handshake(gateway, "/v1/ws?tenant=acme&ticket=dev:bob")
        assert status == 503
        assert int(headers["Retry-After"]) >= 1
    await until(lambda: gateway.process.connections() == 0)
    async with Client(gateway.base, ticket="dev:bob"):
        pass


async def test_a_page_of_another_origin_is_refused_and_a_client_without_one_is_not(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"allowed_origins": ["https://game.example", "https://*.play.example"]})
    path = "/v1/ws?tenant=acme&ticket=wrong"

    async def close_code(origin: str) -> int | None:
        url = connect_url(gateway.base, ticket="wrong")
        async with aiohttp.ClientSession() as session, session.ws_connect(url, origin=origin) as ws:
            assert (await ws.receive_json())["type"] == "error"
            await ws.receive()
            return ws.close_code

    evil = ("https://evil.example", "https://play.example", "http://game.example", "https://game.example.evil.example")
    for origin in evil:
        assert await close_code(origin) == CloseCode.NOT_ALLOWED_HERE
    for origin in ("https://game.example", "https://eu.play.example"):
        assert await close_code(origin) == CloseCode.TICKET
    assert (await handshake(gateway, path))[0] == 401


async def test_a_user_id_as_long_as_a_hot_frame_can_carry_is_let_in(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"auth": {"kind": "tokens", "tokens": {"fits": "ü" * 127}}})
    async with Client(gateway.base, ticket="fits") as client:
        assert client.authed["data"]["user"] == "ü" * 127


async def test_a_ticket_may_come_as_a_header_or_a_subprotocol(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with aiohttp.ClientSession() as session:
        url = connect_url(gateway.base, ticket=None)
        async with session.ws_connect(url, headers={"Authorization": "Bearer dev:ann"}) as ws:
            assert (await ws.receive_json())["data"]["user"] == "user:ann"
        async with session.ws_connect(url, protocols=("wsprism.v1", "ticket.ZGV2OmFubg")) as ws:
            assert ws.protocol == "wsprism.v1"
            assert (await ws.receive_json())["data"]["user"] == "user:ann"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "BAD_REQUEST"),
        ("[]", "BAD_REQUEST"),
        ('{"v":2,"svc":"chat","type":"send"}', "UNSUPPORTED_VERSION"),
        ('{"v":1,"svc":"chat","type":"send","extra":1}', "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":7}', "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":"send","seq":-1}', "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":"send","seq":1e400}', "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":"send","data":' + "[" * 1000 + "]" * 1000 + "}", "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":"send","room":"r","data":{"msg":1}}', "BAD_REQUEST"),
        ('{"v":1,"svc":"chat","type":"forget"}', "NOT_ALLOWED"),
        ('{"v":1,"svc":"admin","type":"send"}', "NOT_ALLOWED"),
        ('{"v":1,"svc":"sys","type":"reboot"}', "NOT_ALLOWED"),
    ],
)
async def test_a_bad_message_is_answered_and_the_connection_lives(
    start_gateway: StartGateway, text: str, code: str
) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.ws.send_str(text)
        await client.expect_error(code)
        await client.join("r")


@pytest.mark.parametrize(
    "frame", [b"", b"\x01", b"\x01\x01", b"\x01\x01\x01abc", b"\x01\x01\x04\x01a", b"\x09\x02\x00", b"\x63\x01\x00"]
)
async def test_a_bad_hot_frame_is_answered_or_not_as_configured(start_gateway: StartGateway, frame: bytes) -> None:
    loud = await start_gateway()
    silent = await start_gateway(acme={"policy": {"hot_error_mode": "silent"}})
    async with Client(loud.base) as client:
        await client.join("r")
        await client.ws.send_bytes(frame)
        assert (await client.receive())["type"] == "error"
    async with Client(silent.base) as client:
        await client.join("r")
        await client.ws.send_bytes(frame)
        await client.expect_silence()


async def test_a_hot_frame_without_a_room_returns_to_its_sender_when_that_is_allowed(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(acme={"policy": {"hot_requires_active_room": False}})
    async with Client(gateway.base) as client:
        await client.ws.send_bytes(b"\x01\x01\x00me")
        assert await client.receive_hot() == b"\x01\x01\x00me"


async def test_the_rate_limit_covers_both_lanes_and_closes_who_stays_over_it(start_gateway: StartGateway) -> None:
    policy = {"rate_limit_rps": 0.001, "rate_limit_burst": 3, "rate_limit_close_after_ms": 50}
    gateway = await start_gateway(acme={"policy": policy})
    async with Client(gateway.base) as client:
        await client.join("r")
        await client.ws.send_bytes(b"\x01\x01\x001")
        assert await client.receive_hot() == b"\x01\x01\x001"
        await client.send("sys", "ping")
        await client.receive()
        await client.send("sys", "ping", seq=4)
        assert (await client.expect_error("RATE_LIMITED"))["seq"] == 4
        await asyncio.sleep(0.06)  # the limiter runs on the real clock here
        await client.ws.send_bytes(b"\x01\x01\x002")
        assert (await client.expect_close())[0] == 4002


async def test_too_many_faults_in_a_row_close_4503(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"max_protocol_errors": 3}})
    async with Client(gateway.base) as client:
        for _ in range(2):
            await client.ws.send_str("nonsense")
            await client.expect_error("BAD_REQUEST")
        await client.send("sys", "ping")
        await client.receive()
        for _ in range(3):
            await client.ws.send_str("nonsense")
        assert (await client.expect_close())[0] == 4503


async def test_a_message_over_the_tenants_limit_closes_1009_in_either_lane(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"limits": {"max_frame_bytes": 100}})
    for payload in ("x" * 101, b"x" * 101):
        async with Client(gateway.base) as client:
            await (client.ws.send_str(payload) if isinstance(payload, str) else client.ws.send_bytes(payload))
            assert (await client.expect_close())[0] == 1009
    async with Client(gateway.base) as client:
        await client.ws.send_str("x" * 100)
        await client.expect_error("BAD_REQUEST")


async def test_one_session_too_many_is_denied_after_the_upgrade(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"sessions": {"max_sessions_per_user": 1}}})
    async with Client(gateway.base) as first:
        second = Client(gateway.base)
        await second.open()
        await second.expect_error("TOO_MANY_SESSIONS")
        assert (await second.expect_close())[0] == 4501
        await second.close()
        await first.expect_silence()
        async with Client(gateway.base, ticket="dev:bob"):
            pass


async def test_the_oldest_session_gives_way_and_is_told(start_gateway: StartGateway) -> None:
    policy = {"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}}
    gateway = await start_gateway(acme={"policy": policy})
    async with Client(gateway.base) as first, Client(gateway.base) as second:
        kicked = await first.receive()
        assert (kicked["type"], kicked["data"]["reason"]) == ("kicked", "kicked_oldest")
        assert (await first.expect_close())[0] == 4500
        await second.join("r")


async def test_the_same_sid_replaces_its_own_users_session_only(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with (
        Client(gateway.base, ticket="dev:bob", sid="tab") as bob,
        Client(gateway.base, ticket="dev:ann", sid="tab") as old,
        Client(gateway.base, ticket="dev:ann", sid="tab") as new,
    ):
        assert (await old.receive())["data"]["reason"] == "replaced"
        assert (await old.expect_close())[0] == 4500
        await new.join("r")
        await bob.expect_silence()
        await until(lambda: gateway.process.connections() == 2)
        await new.expect_silence()


async def test_room_limits_are_exact_on_the_wire(start_gateway: StartGateway) -> None:
    limits = {"max_rooms_total": 2, "max_users_per_room": 1, "max_rooms_per_user": 1}
    gateway = await start_gateway(acme={"limits": limits})
    async with Client(gateway.base, ticket="dev:a") as a, Client(gateway.base, ticket="dev:b") as b:
        await a.join("one")
        await a.send("room", "join", room="two")
        await a.expect_error("RESOURCE_EXHAUSTED")
        await b.send("room", "join", room="one")
        await b.expect_error("RESOURCE_EXHAUSTED")
        assert (await a.join("one"))["type"] == "joined"
        await a.send("room", "leave")
        assert (await a.receive())["type"] == "left"
        assert (await b.join("one"))["type"] == "joined"


async def test_a_clients_close_is_echoed_with_its_code(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.ws.close(code=3456)
        assert client.ws.close_code == 3456
    await until(lambda: gateway.process.connections() == 0)
