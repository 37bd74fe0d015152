"""Behaviours of both SDKs (clients/behaviours.md): publishing, asking, hot frames, and what waits."""

from __future__ import annotations

import asyncio
import time

import pytest

from load.proxy import Proxy
from tests.components import refusing_port
from tests.process import GatewayCommand
from tests.sdk.fake import FakeGateway
from tests.sdk.sdk import Sdk, SdkError

pytestmark = pytest.mark.asyncio(loop_scope="session")

ODD = {
    "msg": "x",
    "text": "grüße 🚀 \u2028",
    "n": [0, -1, 127, 128, 255, 65536, -129, 2**40, 1.5, None, True],
    "m": {"": {}},
}


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_what_one_publishes_the_other_hears(sdk: Sdk, gateway: GatewayCommand, format: str) -> None:
    url = f"ws://127.0.0.1:{gateway.port}"
    ann = await sdk.client(url, ticket="dev:ann", format=format)
    bob = await sdk.client(url, ticket="dev:bob")
    room, theirs = await ann.room("talk"), await bob.room("talk")
    await theirs.call("joined")
    assert await room.call("publish", "send", {"msg": "grüße 🚀"}) is None
    message = await theirs.event("message")
    assert {name: message[name] for name in ("svc", "type", "room", "data")} == {
        "svc": "chat",
        "type": "msg",
        "room": "talk",
        "data": {"from": "user:ann", "msg": "grüße 🚀"},
    }
    assert (await room.event("message"))["data"] == message["data"]


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_data_comes_back_as_it_went(sdk: Sdk, gateway: GatewayCommand, format: str) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", format=format)
    await client.connect()
    for data in (ODD, ["x" * 300] * 10, {"k": list(range(300))}, "y" * 40, 3, False, [], {}):
        assert await client.call("request", "sys", "ping", data) == data


async def test_a_publish_resolves_with_its_offset(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.authed()
    await peer.joined("a", epoch="e", offset=41)
    publishing = room.calling("publish", "send", {"msg": "x"}, svc="game", id="mine")
    message = await peer.heard("game", "send")
    assert message["flags"] & 4
    assert (message["id"], message["room"], message["data"]) == ("mine", "a", {"msg": "x"})
    await peer.ack(message, offset=42)
    assert await publishing == 42
    publishing = room.calling("publish", "send")
    message = await peer.heard("chat", "send")
    assert "data" not in message
    await peer.ack(message)
    assert await publishing is None


async def test_a_publish_is_sent_again_until_it_is_acknowledged(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.authed()
    await peer.joined("a")
    one = room.calling("publish", "send", {"msg": "1"})
    first = await peer.heard("chat", "send")
    two = room.calling("publish", "send", {"msg": "2"})
    second = await peer.heard("chat", "send")
    assert first["id"] != second["id"]
    peer.cut()
    peer = await fake.authed()
    await peer.joined("a")
    for known in (first, second):
        again = await peer.heard("chat", "send")
        assert (again["id"], again["data"]) == (known["id"], known["data"])
        await peer.ack(again, offset=int(again["data"]["msg"]))
    assert [await one, await two] == [1, 2]
    peer.cut()
    peer = await fake.authed()
    await peer.joined("a")
    await asyncio.sleep(0.1)
    assert peer.nothing_heard()


async def test_a_publish_over_bad_networks_arrives(sdk: Sdk, gateway: GatewayCommand, proxy: Proxy) -> None:
    hearing = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket="dev:bob")
    theirs = await hearing.room("cuts")
    await theirs.call("joined")
    client = await sdk.client(proxy.url)
    room = await client.room("cuts")
    heard: list[str] = []
    for number in range(5):
        await room.call("joined")
        publishing = room.calling("publish", "send", {"msg": str(number)})
        proxy.cut()
        await publishing
        while str(number) not in heard:
            heard.append((await theirs.event("message"))["data"]["msg"])
    assert list(dict.fromkeys(heard)) == list("01234")


async def test_a_refused_publish_says_why(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    await client.connect()
    with pytest.raises(SdkError) as error:
        await client.call("publish", "chat", "send", {"msg": "x"}, room="no member")
    assert (error.value.type, error.value.code) == ("WsPrismError", "NOT_ALLOWED")
    assert error.value.msg


async def test_what_waits_goes_in_order_behind_the_joins(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    publishing = [room.calling("publish", "send", {"n": number}) for number in range(5)]
    asking = client.calling("request", "game", "state")
    peer = await fake.authed()
    await peer.joined("a")
    numbers = []
    for _ in range(5):
        message = await peer.heard("chat", "send")
        numbers.append(message["data"]["n"])
        await peer.ack(message)
    assert numbers == list(range(5))
    message = await peer.heard("game", "state")
    await peer.say("game", "state", seq=message["seq"], data=7)
    assert await asking == 7
    await asyncio.gather(*publishing)


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_what_is_published_is_what_it_was_then(sdk: Sdk, gateway: GatewayCommand, format: str) -> None:
    async with Proxy(gateway.port) as proxy:
        proxy.refuse()
        client = await sdk.client(proxy.url, format=format)
        room = await client.room("as-it-was")
        await client.state("waiting")
        changed = sdk.background(
            sdk.driver.ask("change", client=client.name, room=room.name, before={"msg": "a"}, after={"msg": 1})
        )
        proxy.refuse(False)
        await changed
        assert (await room.event("message"))["data"]["msg"] == "a"


async def test_what_waits_is_bounded_in_number(sdk: Sdk) -> None:
    with refusing_port() as port:
        client = await sdk.client(f"ws://127.0.0.1:{port}", queue_messages=2)
        waiting = [client.calling("publish", "chat", "send", {"n": number}) for number in range(2)]
        await asyncio.sleep(0)  # they are said in this order
        with pytest.raises(SdkError) as error:
            await client.call("publish", "chat", "send", {"n": 3})
        assert error.value.code == "QUEUE_FULL"
        assert not any(task.done() for task in waiting)


async def test_what_waits_is_bounded_in_bytes(sdk: Sdk) -> None:
    with refusing_port() as port:
        client = await sdk.client(f"ws://127.0.0.1:{port}", queue_bytes=1000)
        client.calling("publish", "chat", "send", {"msg": "x" * 500})
        await asyncio.sleep(0)  # they are said in this order
        with pytest.raises(SdkError) as error:
            await client.call("request", "chat", "send", {"msg": "ü" * 220})
        assert error.value.code == "QUEUE_FULL"


async def test_a_request_has_its_answer(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    room = await client.room(f"asked-{sdk.name}")
    await room.call("joined")
    assert await client.call("request", "room", "members", room=room.name) == {"users": 1, "sessions": 1}
    with pytest.raises(SdkError) as error:
        await client.call("request", "room", "members", room="another")
    assert error.value.code == "NOT_ALLOWED"


async def test_a_request_passes_over_its_ack(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    asking = client.calling("request", "game", "move", {"x": 1}, room="a")
    peer = await fake.authed()
    message = await peer.heard("game", "move")
    assert (message["room"], message["data"]) == ("a", {"x": 1})
    await peer.ack(message)
    await peer.say("game", "moved", seq=message["seq"] + 1000, data="not this")
    await peer.say("game", "moved", seq=message["seq"], room="a", data={"x": 2})
    assert await asking == {"x": 2}
    assert (await client.event("message"))["data"] == "not this"


async def test_a_request_ends_in_time(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, request_timeout_s=0.2)
    connecting = client.calling("connect")
    await fake.authed()
    await connecting
    for kwargs, least_s in ({}, 0.2), ({"timeout_s": 0.4}, 0.4):
        began = time.monotonic()
        with pytest.raises(SdkError) as error:
            await client.call("request", "game", "move", {}, **kwargs)
        assert error.value.code == "TIMEOUT"
        assert time.monotonic() - began >= least_s - 0.01


async def test_a_request_is_not_sent_again(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    asking = client.calling("request", "game", "move")
    peer = await fake.authed()
    await peer.heard("game", "move")
    peer.cut()
    with pytest.raises(SdkError) as error:
        await asking
    assert error.value.code == "DISCONNECTED"
    peer = await fake.authed()
    await asyncio.sleep(0.1)
    assert peer.nothing_heard()


async def test_what_belongs_to_no_room_is_the_clients(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    peer = await fake.authed()
    await connecting
    await peer.say("news", "item", data={"a": 1})
    assert (await client.event("message"))["data"] == {"a": 1}
    await peer.say("sys", "error", data={"code": "INTERNAL", "msg": "of no call"})
    assert (await client.event("error"))["code"] == "INTERNAL"


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_hot_frames_go_through_a_room(sdk: Sdk, gateway: GatewayCommand, format: str) -> None:
    url = f"ws://127.0.0.1:{gateway.port}"
    ann = await sdk.client(url, ticket="dev:ann", format=format)
    bob = await sdk.client(url, ticket="dev:bob", format=format)
    room, theirs = await ann.room("hot"), await bob.room("hot")
    await room.call("joined")
    await theirs.call("joined")
    assert await room.call("hot", 1, 7, {"hex": "deadbeef"}) is True
    frame = await theirs.event("hot")
    assert (frame["service"], frame["opcode"], frame["payload"], frame["sender"]) == (
        1,
        7,
        {"hex": "deadbeef"},
        "user:ann",
    )
    with pytest.raises(SdkError):
        await room.call("hot", 256, 0, {"hex": ""})


async def test_a_hot_frame_says_where_it_comes_from(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    a, b = await client.room("a"), await client.room("b")
    peer = await fake.authed()
    await peer.joined("a", number=7)
    await peer.joined("b", number=0x01020304)
    await b.call("joined")
    assert await a.call("hot", 1, 2, {"hex": "aa"})
    assert await peer.heard_frame() == bytes.fromhex("010208" + "07000000" + "aa")
    assert await b.call("hot", 1, 2, {"hex": "bb"})
    assert await peer.heard_frame() == bytes.fromhex("010208" + "04030201" + "bb")
    await peer.raw(bytes.fromhex("01020d" + "09000000" + "04030201" + "03" + b"ann".hex() + "cc"))
    frame = await b.event("hot")
    assert {name: frame[name] for name in ("seq", "sender", "room", "payload", "flags")} == {
        "seq": 9,
        "sender": "ann",
        "room": "b",
        "payload": {"hex": "cc"},
        "flags": 13,
    }
    await peer.raw(bytes.fromhex("010200" + "dd"))
    assert (await client.event("hot"))["payload"] == {"hex": "dd"}


async def test_a_hot_frame_never_goes_to_another_room(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    a, b = await client.room("a"), await client.room("b")
    peer = await fake.authed()
    await peer.joined("a")
    await peer.joined("b")
    await b.call("joined")
    assert await a.call("hot", 1, 2, {"hex": "aa"}) is False
    assert await b.call("hot", 1, 2, {"hex": "bb"}) is True
    assert await peer.heard_frame() == bytes.fromhex("010200bb")
    leaving = b.calling("leave")
    message = await peer.heard("room", "leave")
    await peer.say("sys", "left", room="b", seq=message["seq"])
    await leaving
    assert await a.call("hot", 1, 2, {"hex": "aa"}) is True


async def test_hot_frames_are_never_kept(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, backoff_base_s=60.0, backoff_cap_s=60.0)
    room = await client.room("a")
    assert await room.call("hot", 1, 1, {"hex": "00"}) is False
    peer = await fake.authed()
    await client.state("open")
    assert await room.call("hot", 1, 1, {"hex": "01"}) is False
    await peer.joined("a")
    await room.call("joined")
    assert await room.call("hot", 1, 1, {"hex": "02"}) is True
    assert await peer.heard_frame() == bytes.fromhex("01010002")
    peer.cut()
    await client.state("waiting")
    assert await room.call("hot", 1, 1, {"hex": "03"}) is False
    assert await client.get("dropped_hot") == 3


async def test_hot_frames_are_dropped_before_they_pile_up(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    room = await client.room("pile")
    await room.call("joined")
    proxy.stall()
    frame = {"hex": "00" * 3000}
    async with asyncio.timeout(60):
        while await room.call("hot", 1, 1, frame):
            pass
    assert await client.get("dropped_hot") == 1
    proxy.flow()
