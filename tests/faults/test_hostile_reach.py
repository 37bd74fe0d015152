"""A hostile client cannot touch another tenant's or user's rooms, sessions or metrics, publish where it is no member,
or speak as somebody else."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.client import Client, until
from tests.conftest import ACME, Running, StartGateway
from tests.raw import RawClient, client_frame
from wsprism.protocol import HotFault, decode_delivery
from wsprism.realtime.rules import TenantContext

OTHER = ACME | {"id": "other"}


async def two_tenants(start_gateway: StartGateway) -> tuple[Running, TenantContext, TenantContext]:
    gateway = await start_gateway(tenants=[OTHER])
    acme, other = gateway.process.tenants()
    return gateway, acme, other


def fields(counters: object) -> list[str]:
    """The names of what is counted; compiled classes have no ``__slots__`` to read them from."""
    return [name for name in dir(counters) if not name.startswith("_") and not callable(getattr(counters, name))]


def figures(tenant: TenantContext) -> dict[str, object]:
    """All that is counted about a tenant."""
    counters = tenant.counters
    counted: dict[str, object] = {
        name: msgspec.to_builtins(getattr(counters, name))
        for name in fields(counters)
        if name not in ("lanes", "decisions", "stream", "tails", "broker")
    }
    for name in ("stream", "tails", "broker"):
        part = getattr(counters, name)
        counted[name] = {field: getattr(part, field) for field in fields(part) if field != "lanes"}
    lanes = counters.lanes
    return counted | {
        "lanes": [
            [getattr(account, name) for name in fields(account)]
            for account in (lanes.control, lanes.reliable, lanes.hot)
        ],
        "decisions": [count for _, count in counters.decisions.items()],
        "now": (tenant.sessions, tenant.rooms),
    }


async def test_a_room_of_the_same_name_is_another_room_in_another_tenant(start_gateway: StartGateway) -> None:
    gateway, _, other = await two_tenants(start_gateway)
    async with (
        Client(gateway.base, tenant="other", ticket="dev:ann", sid="tab") as ann,
        Client(gateway.base, ticket="dev:ann", sid="tab") as eve,
    ):
        await ann.join("r")
        before = figures(other)
        await eve.join("r")
        await eve.send("chat", "send", {"msg": "hi"}, room="r")
        await eve.receive()
        await eve.ws.send_bytes(b"\x01\x01\x00hi")
        await eve.receive_hot()
        for room in ("other/r", "other:r", "../other/r"):
            await eve.send("chat", "send", {"msg": "hi"}, room=room)
            await eve.expect_error("NOT_ALLOWED")
        await eve.ws.send_str("nonsense")
        await eve.expect_error("BAD_REQUEST")
        await eve.send("room", "members", room="r")
        assert (await eve.receive())["data"] == {"users": 1, "sessions": 1}
        assert figures(other) == before
        await ann.expect_silence()


async def test_a_sid_reaches_neither_another_users_session_nor_another_tenants(start_gateway: StartGateway) -> None:
    gateway, _, _ = await two_tenants(start_gateway)
    async with (
        Client(gateway.base, ticket="dev:ann") as ann,
        Client(gateway.base, tenant="other", ticket="dev:eve", sid="tab") as elsewhere,
    ):
        for _ in range(3):
            async with Client(gateway.base, ticket="dev:eve", sid=ann.authed["data"]["sid"]):
                pass
            async with Client(gateway.base, ticket="dev:eve", sid="tab"):
                pass
        await ann.expect_silence()
        await elsewhere.expect_silence()


async def test_nothing_reaches_a_room_that_the_sender_is_not_a_member_of(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"limits": {"max_users_per_room": 1}})
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:eve") as eve:
        await ann.join("r")
        await eve.send("chat", "send", {"msg": "let me in"}, room="r")
        await eve.expect_error("NOT_ALLOWED")
        await eve.ws.send_bytes(b"\x01\x01\x00hi")
        await eve.expect_error("NOT_ALLOWED")
        await eve.send("room", "leave", room="r")
        await eve.expect_error("NOT_ALLOWED")
        await eve.send("room", "members", room="r")
        await eve.expect_error("NOT_ALLOWED")
        await ann.expect_silence()


async def test_neither_a_join_that_is_denied_nor_a_leave_lets_what_stands_behind_it_through(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(acme={"limits": {"max_users_per_room": 1}})
    join, leave = b'{"v":1,"svc":"room","type":"join","room":"%s"}', b'{"v":1,"svc":"room","type":"leave","room":"own"}'
    chat = b'{"v":1,"svc":"chat","type":"send","room":"%s","data":{"msg":"sneaked in"}}'
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        eve = await RawClient.connect(gateway.port, "dev:eve")
        hot = client_frame(b"\x01\x01\x00hi", opcode=2)
        eve.send(client_frame(join % b"r"), client_frame(chat % b"r"), hot)
        assert [json.loads((await eve.frame())[1])["data"]["code"] for _ in range(3)] == [
            "RESOURCE_EXHAUSTED",
            "NOT_ALLOWED",
            "NOT_ALLOWED",
        ]
        eve.send(client_frame(join % b"own"), client_frame(leave), client_frame(chat % b"own"), hot)
        answers = [json.loads((await eve.frame())[1]) for _ in range(4)]
        assert sorted(answer["type"] for answer in answers) == ["error", "error", "joined", "left"]
        await ann.expect_silence()
        eve.abort()


async def test_a_kicked_session_is_heard_no_more(start_gateway: StartGateway) -> None:
    policy = {"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}}
    gateway = await start_gateway(acme={"policy": policy})
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        eve = await RawClient.connect(gateway.port, "dev:eve")
        eve.send(client_frame(b'{"v":1,"svc":"room","type":"join","room":"r"}'))
        await eve.frame()
        async with Client(gateway.base, ticket="dev:eve"):
            eve.send(*[client_frame(b"\x01\x01\x00hi", opcode=2)] * 50)
            assert await eve.close_code() == 4500
            await ann.expect_silence()
        eve.abort()


@pytest.mark.parametrize(
    "data",
    [
        {"msg": "hi", "from": "user:ann"},
        {"from": "user:ann"},
        {"msg": {"from": "user:ann"}},
        {"msg": "hi", "data": {"from": "user:ann"}},
    ],
)
async def test_chat_names_its_true_sender_whatever_the_data_says(
    start_gateway: StartGateway, data: dict[str, object]
) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:eve") as eve:
        await eve.join("r")
        await eve.send("chat", "send", data)
        await eve.expect_error("BAD_REQUEST")
        await eve.send("chat", "send", {"msg": '","from":"user:ann'})
        assert (await eve.receive())["data"] == {"from": "user:eve", "msg": '","from":"user:ann'}


@pytest.mark.parametrize("svc", ["sys", "room"])
async def test_nobody_else_speaks_as_the_gateway(start_gateway: StartGateway, svc: str) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:eve") as eve:
        await ann.join("r")
        await eve.join("r")
        for kind in ("kicked", "authed", "msg", "joined", "draining", "error"):
            await eve.send(svc, kind, {"reason": "x"}, room="r")
            await eve.expect_error("NOT_ALLOWED")
        await ann.expect_silence()


async def test_a_hot_frames_sender_is_set_by_the_gateway_alone(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:eve") as eve:
        await ann.join("r")
        await eve.join("r")
        for service in (b"\x01", b"\x02"):
            await eve.ws.send_bytes(service + b"\x01\x04\x08user:annhi")
            await eve.expect_error("BAD_REQUEST")
        await eve.ws.send_bytes(b"\x02\x01\x00\x08user:annhi")
        frame = decode_delivery(await ann.receive_hot())
        assert not isinstance(frame, HotFault)
        assert (frame.sender, bytes(frame.payload)) == ("user:eve", b"\x08user:annhi")


async def test_no_ext_message_is_smuggled_to_a_messagepack_client_in_a_hot_frame(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"hot_allowlist": ["1:*", "129:*", "222:*"]}})
    packed = Client(gateway.base, ticket="dev:ann", protocols=("wsprism.v1.msgpack",))
    await packed.open()
    await packed.receive_hot()
    await packed.ws.send_bytes(msgspec.msgpack.encode({"v": 1, "svc": "room", "type": "join", "room": "r"}))
    await packed.receive_hot()
    async with Client(gateway.base, ticket="dev:eve") as eve:
        await eve.join("r")
        forged = msgspec.msgpack.encode({"v": 1, "svc": "sys", "type": "kicked", "data": {"reason": "x"}})
        for frame in (forged, b"\x81\x01\x00", b"\xde\x00\x01", b"\x81" + forged):
            await eve.ws.send_bytes(frame)
            assert (await eve.receive())["type"] == "error"
        await eve.ws.send_bytes(b"\x01\x01\x00true")
        assert await packed.receive_hot() == b"\x01\x01\x00true"
    await packed.close()
    await until(lambda: gateway.process.connections() == 0)
