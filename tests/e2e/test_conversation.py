"""What two clients of one room see of each other, over real sockets."""

from __future__ import annotations

import msgspec
from aiohttp import WSMsgType

from tests.client import Client
from tests.conftest import StartGateway


async def test_the_first_message_says_who_the_client_is(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann", sid="tab-1") as ann:
        assert ann.authed["v"] == 1
        assert ann.authed["svc"] == "sys"
        assert ann.authed["data"] == {"tenant": "acme", "user": "user:ann", "sid": "tab-1", "expires_at": None}
        assert len(ann.authed["trace_id"]) == 32


async def test_chat_reaches_every_member_in_one_order_sender_included(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        joined = await ann.join("match:1", seq=5)
        assert (joined["type"], joined["room"], joined["seq"]) == ("joined", "match:1", 5)
        await bob.join("match:1")
        for number in range(50):
            await ann.send("chat", "send", {"msg": f"a{number}"}, room="match:1")
            await bob.send("chat", "send", {"msg": f"b{number}"}, room="match:1")
        heard_by_ann = [await ann.receive() for _ in range(100)]
        heard_by_bob = [await bob.receive() for _ in range(100)]
        assert heard_by_ann == heard_by_bob
        assert heard_by_ann[0] == {
            "v": 1, "svc": "chat", "type": "msg", "room": "match:1", "data": {"from": "user:ann", "msg": "a0"},
        } or heard_by_ann[0]["data"]["from"] == "user:bob"  # fmt: skip
        for sender in "ab":
            own = [one["data"]["msg"] for one in heard_by_ann if one["data"]["msg"].startswith(sender)]
            assert own == [f"{sender}{number}" for number in range(50)]


async def test_a_message_sent_right_behind_its_join_is_not_refused(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.send("room", "join", room="lobby")
        await client.send("chat", "send", {"msg": "hi"})
        await client.send("room", "leave")
        await client.send("chat", "send", {"msg": "gone"}, room="lobby")
        assert [(await client.receive())["type"] for _ in range(3)] == ["joined", "msg", "left"]
        await client.expect_error("NOT_ALLOWED")


async def test_a_hot_frame_reaches_both_with_its_header(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    frame = bytes.fromhex("010100deadbeef")
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("match:1")
        await bob.join("match:1")
        await ann.ws.send_bytes(frame)
        assert await ann.receive_hot() == frame
        assert await bob.receive_hot() == frame


async def test_a_relayed_frame_names_its_sender_and_does_not_come_back(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("match:1")
        await bob.join("match:1")
        await ann.ws.send_bytes(b"\x02\x07\x00xyz")
        assert await bob.receive_hot() == b"\x02\x07\x04\x08user:annxyz"
        await ann.expect_silence()


async def test_nobody_publishes_where_it_is_not_a_member(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:eve") as eve:
        await ann.join("match:1")
        await eve.send("chat", "send", {"msg": "let me in"}, room="match:1", seq=9)
        assert (await eve.expect_error("NOT_ALLOWED"))["seq"] == 9
        await eve.ws.send_bytes(b"\x01\x01\x00x")
        await eve.expect_error("NOT_ALLOWED")
        await ann.expect_silence()


async def test_an_ack_comes_once_the_message_is_queued_for_all(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.join("r")
        await client.send("chat", "send", {"msg": "x"}, flags=4, seq=77)
        assert (await client.receive())["type"] == "msg"
        ack = await client.receive()
        assert (ack["type"], ack["seq"]) == ("ack", 77)
        await client.ws.send_bytes(b"\x01\x01\x03\x05\x00\x00\x00hot")
        frames = [await client.receive_frame(), await client.receive_frame()]
        assert {frame.type for frame in frames} == {WSMsgType.TEXT, WSMsgType.BINARY}


async def test_members_are_counted_for_members_only(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with (
        Client(gateway.base, ticket="dev:ann") as ann,
        Client(gateway.base, ticket="dev:ann", sid="second") as ann_again,
        Client(gateway.base, ticket="dev:eve") as eve,
    ):
        await ann.join("r")
        await ann_again.join("r")
        await ann.send("room", "members", room="r", seq=1)
        assert (await ann.receive())["data"] == {"users": 1, "sessions": 2}
        await eve.send("room", "members", room="r")
        await eve.expect_error("NOT_ALLOWED")


async def test_the_active_room_is_the_one_joined_last_and_falls_back(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.join("a")
        await client.join("b")
        await client.send("chat", "send", {"msg": "1"})
        assert (await client.receive())["room"] == "b"
        await client.send("room", "leave")
        assert (await client.receive())["room"] == "b"
        await client.send("chat", "send", {"msg": "2"})
        assert (await client.receive())["room"] == "a"


async def test_a_messagepack_client_and_a_json_client_share_a_room(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    packed = Client(gateway.base, ticket="dev:mp", protocols=("wsprism.v1.msgpack",))
    await packed.open()
    try:
        assert packed.ws.protocol == "wsprism.v1.msgpack"
        assert msgspec.msgpack.decode(await packed.receive_hot())["type"] == "authed"
        await packed.ws.send_bytes(msgspec.msgpack.encode({"v": 1, "svc": "room", "type": "join", "room": "r"}))
        assert msgspec.msgpack.decode(await packed.receive_hot())["type"] == "joined"
        async with Client(gateway.base) as plain:
            await plain.join("r")
            await packed.ws.send_bytes(
                msgspec.msgpack.encode({"v": 1, "svc": "chat", "type": "send", "data": {"msg": "ü"}})
            )
            expected = {"v": 1, "svc": "chat", "type": "msg", "room": "r", "data": {"from": "user:mp", "msg": "ü"}}
            assert await plain.receive() == expected
            assert msgspec.msgpack.decode(await packed.receive_hot()) == expected
            await plain.ws.send_bytes(b"\x01\x01\x00hot")
            assert await plain.receive_hot() == await packed.receive_hot() == b"\x01\x01\x00hot"
    finally:
        await packed.close()


async def test_sys_ping_is_answered_with_its_data(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base) as client:
        await client.send("sys", "ping", {"t": [1, 2.5, None]}, seq=3)
        pong = await client.receive()
        assert (pong["type"], pong["seq"], pong["data"]) == ("pong", 3, {"t": [1, 2.5, None]})
