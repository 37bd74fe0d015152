"""Behaviours of both SDKs (clients/behaviours.md): rooms, and coming back to where one stood."""

from __future__ import annotations

import asyncio

import pytest

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.sdk.fake import Connection, FakeGateway
from tests.sdk.sdk import Client, Room, Sdk, SdkError

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _in_room(sdk: Sdk, fake: FakeGateway) -> tuple[Client, Room, Connection]:
    """A client that stands in room ``a`` at offset 3 of the history ``e``."""
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.authed()
    await peer.joined("a", epoch="e", offset=3, recovered=False)
    await room.call("joined")
    return client, room, peer


async def _say(peer: Connection, *offsets: int) -> None:
    for offset in offsets:
        await peer.say("chat", "msg", room="a", offset=offset, data=offset)


async def test_a_room_is_one_object_until_it_is_left(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    room = await client.room("one")
    assert await client.same_room("one")
    await room.call("joined")
    assert await room.get("name") == "one"
    assert await room.get("state") == "joined"
    await room.call("leave")
    assert await room.get("state") == "left"
    assert not await client.same_room("one")


async def test_joined_tells_what_the_join_said(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    assert await room.get("state") == "joining"
    peer = await fake.authed()
    join = await peer.joined("a", epoch="e", offset=3, recovered=False, count=0, number=9)
    assert "data" not in join
    said = {"epoch": "e", "offset": 3, "recovered": False, "count": 0, "number": 9, "presence": None}
    assert await room.call("joined") == said
    assert await room.event("joined") == said


async def test_rooms_are_joined_again_after_a_cut(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    rooms = [await client.room(f"again-{number}") for number in range(3)]
    for _ in range(2):
        for room in rooms:
            await room.event("joined")
        proxy.cut()
        await client.state("waiting")
    for room in rooms:
        await room.event("joined")
        await room.call("publish", "send", {"msg": room.name})
        assert (await room.event("message"))["data"]["msg"] == room.name


async def test_comes_back_to_where_it_stood(sdk: Sdk, fake: FakeGateway) -> None:
    client, room, peer = await _in_room(sdk, fake)
    await _say(peer, 4, 5)
    for offset in (4, 5):
        assert (await room.event("message"))["offset"] == offset
    peer.cut()
    peer = await fake.authed()
    join = await peer.joined("a", epoch="e", offset=7, recovered=True, count=2)
    assert join["data"] == {"since": {"epoch": "e", "offset": 5}}
    await _say(peer, 6, 7, 8)
    assert await room.event("recovered") == {"count": 2}
    for offset in (6, 7, 8):
        assert (await room.event("message"))["offset"] == offset
    assert await client.get("state") == "open"
    peer.cut()
    peer = await fake.authed()
    assert (await peer.joined("a", epoch="e", offset=8, recovered=True, count=0))["data"]["since"]["offset"] == 8


async def test_a_cut_amid_a_replay_costs_nothing(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    peer.cut()
    peer = await fake.authed()
    await peer.joined("a", epoch="e", offset=6, recovered=True, count=3)
    await _say(peer, 4)
    assert (await room.event("message"))["offset"] == 4
    peer.cut()
    peer = await fake.authed()
    join = await peer.joined("a", epoch="e", offset=6, recovered=True, count=2)
    assert join["data"]["since"] == {"epoch": "e", "offset": 4}


async def test_says_when_messages_may_be_lost(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    peer.cut()
    peer = await fake.authed()
    await peer.joined("a", epoch="f", offset=90, recovered=False)
    lost = await room.event("lost")
    assert (lost["epoch"], lost["offset"]) == ("f", 90)
    peer.cut()
    peer = await fake.authed()
    assert (await peer.joined("a", epoch="f", offset=90, recovered=True, count=0))["data"]["since"] == {
        "epoch": "f",
        "offset": 90,
    }
    assert await room.event("recovered") == {"count": 0}


async def test_a_room_without_history_may_lose_messages(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    room = await client.room("forgets")
    joined = await room.call("joined")
    assert (joined["epoch"], joined["recovered"]) == (None, False)
    proxy.cut()
    lost = await room.event("lost")
    assert lost["epoch"] is None
    assert await client.get("state") == "open"


async def test_a_gap_is_told_and_stood_upon(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    await peer.say("sys", "gap", room="a", data={"epoch": "g", "offset": 0})
    assert (await room.event("lost"))["epoch"] == "g"
    await _say(peer, 1)
    assert (await room.event("message"))["offset"] == 1
    peer.cut()
    peer = await fake.authed()
    assert (await peer.heard("room", "join"))["data"]["since"] == {"epoch": "g", "offset": 1}


async def test_since_may_be_given(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a", since={"epoch": "e", "offset": 2})
    peer = await fake.authed()
    assert (await peer.joined("a", epoch="e", offset=3, recovered=True, count=1))["data"] == {
        "since": {"epoch": "e", "offset": 2}
    }
    await _say(peer, 3)
    assert await room.event("recovered") == {"count": 1}
    assert (await room.event("message"))["offset"] == 3


async def test_a_message_is_heard_once(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    await _say(peer, 3, 4, 4, 6)
    assert (await room.event("message"))["offset"] == 4
    assert (await room.event("message"))["offset"] == 6


async def test_a_refused_join_says_why(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", tenant="closed")
    room = await client.room("any")
    for call in ("joined", "publish"):
        with pytest.raises(SdkError) as error:
            await room.call(call, *(["send"] if call == "publish" else []))
        assert error.value.code == "NOT_ALLOWED"
    assert (await room.event("error"))["code"] == "NOT_ALLOWED"
    assert await room.get("state") == "refused"
    await room.call("leave")
    assert not await client.same_room("any")


async def test_a_join_that_is_refused_for_now_is_tried_again(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.authed()
    for code in ("RATE_LIMITED", "UNAVAILABLE"):
        await peer.refuse(await peer.heard("room", "join"), code)
    await peer.joined("a")
    await room.call("joined")


async def test_who_left_does_not_come_back(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    stays, goes = await client.room("stays"), await client.room("goes")
    await stays.event("joined")
    await goes.event("joined")
    await goes.call("leave")
    proxy.cut()
    await stays.event("joined")
    with pytest.raises(SdkError) as error:
        await client.call("request", "room", "members", room="goes")
    assert error.value.code == "NOT_ALLOWED"


async def test_who_leaves_while_away_is_not_joined(sdk: Sdk, fake: FakeGateway) -> None:
    client, room, peer = await _in_room(sdk, fake)
    leaving = room.calling("leave")
    await peer.heard("room", "leave")
    peer.cut()
    await leaving
    peer = await fake.authed()
    await client.state("open")
    await asyncio.sleep(0.1)
    assert peer.nothing_heard()


async def test_who_is_taken_out_is_told(sdk: Sdk, fake: FakeGateway) -> None:
    client, room, peer = await _in_room(sdk, fake)
    await peer.say("sys", "left", room="a")
    await room.event("left")
    assert await room.get("state") == "left"
    peer.cut()
    peer = await fake.authed()
    await client.state("open")
    await asyncio.sleep(0.1)
    assert peer.nothing_heard()


async def test_presence_is_asked_for_and_told(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a", presence=True, state={"mood": 1})
    peer = await fake.authed()
    users = {"users": {"user:ann": [{"sid": "s1", "since": 1}]}, "total_users": 1, "total_sessions": 1}
    join = await peer.joined("a", presence=users)
    assert join["data"] == {"presence": True, "state": {"mood": 1}}
    assert (await room.call("joined"))["presence"] == users
    diff = {"joined": {"user:bob": [{"sid": "s2"}]}, "left": {}, "changed": {}}
    await peer.say("room", "presence_diff", room="a", data=diff)
    assert await room.event("presence") == diff


async def test_ones_state_is_kept(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    setting = room.calling("set_state", {"typing": True})
    message = await peer.heard("room", "state")
    assert (message["room"], message["data"]) == ("a", {"state": {"typing": True}})
    await peer.ack(message)
    await setting
    peer.cut()
    peer = await fake.authed()
    assert (await peer.heard("room", "join"))["data"]["state"] == {"typing": True}


async def test_history_is_asked_for(sdk: Sdk, fake: FakeGateway) -> None:
    _, room, peer = await _in_room(sdk, fake)
    asking = room.calling("history", since={"epoch": "e", "offset": 1}, limit=2, reverse=True)
    message = await peer.heard("room", "history")
    assert message["room"] == "a"
    assert message["data"] == {"since": {"epoch": "e", "offset": 1}, "limit": 2, "reverse": True}
    answer = {
        "epoch": "e",
        "offset": 3,
        "items": [{"offset": 3, "time": "now", "svc": "chat", "type": "msg"}],
        "more": False,
    }
    await peer.say("room", "history", seq=message["seq"], room="a", data=answer)
    assert await asking == answer
