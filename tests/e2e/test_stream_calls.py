"""Calls over a backend's stream: the internal API's fields and answers, in order, with the rights of the key."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.api import start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.streams import STREAM, Stream


async def start(start_gateway: StartGateway, **options: Any) -> tuple[Running, str]:
    return await start_with_api(start_gateway, acme={"backend": STREAM} | options)


@pytest.mark.parametrize("msgpack", [False, True])
async def test_every_call_is_answered_as_the_api_does(start_gateway: StartGateway, msgpack: bool) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, msgpack=msgpack) as stream, Client(gateway.base, ticket="dev:ann") as ann:

        async def call(name: str, **fields: Any) -> dict[str, Any]:
            await stream.say({"call": name, "id": name, **fields})
            while (answer := await stream.hear()).get("id") != name:
                assert answer["kind"] == "rooms"
            return answer

        assert await call("join", room="r", user="user:ann") == {"id": "join", "sessions": 1}
        assert (await ann.receive())["type"] == "joined"
        assert await call("publish", room="r", svc="game", type="state", data={"t": 1}) == {
            "id": "publish",
            "members": 1,
        }
        assert (await ann.receive())["data"] == {"t": 1}
        hot = base64.b64encode(b"\x01\x02\x00x").decode()
        assert (await call("publish", room="r", hot=hot))["members"] == 1
        assert await ann.receive_hot() == b"\x01\x02\x00x"
        assert await call("send", user="user:ann", svc="game", type="you") == {"id": "send", "sessions": 1}
        assert (await ann.receive())["type"] == "you"
        assert (await call("broadcast", svc="game", type="all"))["sessions"] == 1
        assert (await ann.receive())["type"] == "all"
        assert (await call("remove", room="r", user="user:ann"))["sessions"] == 1
        assert (await ann.receive())["type"] == "left"
        assert (await call("disconnect", user="user:ann", code=4400, reason="bye"))["sessions"] == 1
        assert await ann.expect_close() == (4400, "bye")


async def test_a_list_is_carried_out_in_its_order_and_answers_come_in_it(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        publishes = [{"call": "publish", "room": "r", "svc": "g", "type": "t", "data": n} for n in range(50)]
        await stream.say(
            [
                {"call": "join", "room": "r", "user": "user:ann"},
                *publishes,
                {"call": "publish", "room": "r", "svc": "g", "type": "t", "data": "last", "id": 7},
            ]
        )
        while (answer := await stream.hear()).get("id") is None:
            pass
        assert answer == {"id": 7, "members": 1}
        assert (await ann.receive())["type"] == "joined"
        assert [(await ann.receive())["data"] for _ in range(51)] == [*range(50), "last"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"call": "nonsense"}, "call must be one of"),
        ({"call": 1}, "call must be one of"),
        ({"call": "publish", "svc": "g", "type": "t"}, "/room"),
        ({"call": "publish", "room": "", "svc": "g", "type": "t"}, "room"),
        ({"call": "publish", "room": "r", "svc": "sys", "type": "t"}, "/svc"),
        ({"call": "publish", "room": "r", "type": "t"}, "/svc"),
        ({"call": "send", "user": "u", "svc": "g", "type": "t", "extra": 1}, "/extra"),
        ({"call": "join", "room": "r"}, "name a user or a sid"),
    ],
)
async def test_what_is_no_call_is_told_and_does_nothing(
    start_gateway: StartGateway, call: dict[str, Any], words: str
) -> None:
    _, internal = await start(start_gateway)
    async with Stream(internal) as stream:
        await stream.say({**call, "id": "x"})
        answer = await stream.hear()
        assert (answer["id"], answer["code"]) == ("x", "BAD_REQUEST")
        assert words in answer["msg"]
        assert set(answer) == {"id", "code", "msg"}


async def test_a_tenants_no_is_told_with_its_code(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, limits={"max_rooms_total": 1})
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("one")
        await stream.say({"call": "join", "room": "two", "user": "user:ann", "id": 1})
        while (answer := await stream.hear()).get("id") is None:
            pass
        assert answer["code"] == "RESOURCE_EXHAUSTED"


async def test_what_was_said_before_the_end_is_carried_out(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        async with Stream(internal) as stream:
            for number in range(500):
                await stream.say({"call": "publish", "room": "r", "svc": "g", "type": "t", "data": number})
        assert [(await ann.receive())["data"] for _ in range(500)] == list(range(500))


async def test_whoever_calls_faster_than_is_carried_out_is_read_no_further_and_loses_nothing(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsprism.realtime.stream.actor.MAX_WAITING_CALLS", 8)
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base, ticket="dev:ann") as ann, Stream(internal) as stream:
        await ann.join("r")
        for number in range(2000):
            await stream.say({"call": "publish", "room": "r", "svc": "g", "type": "t", "data": number})
        assert [(await ann.receive())["data"] for _ in range(2000)] == list(range(2000))


async def test_a_tenant_that_fails_ends_its_streams_and_takes_new_ones(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    async with Stream(internal) as stream:
        await until(lambda: tenant.counters.stream.connected == 1)
        tenant.ref.tell(object())
        assert (await stream.expect_close())[0] == 1011
        await until(lambda: tenant.counters.stream.connected == 0)
    async with Stream(internal) as stream:
        await stream.say({"call": "broadcast", "svc": "g", "type": "t", "id": 1})
        assert await stream.hear() == {"id": 1, "sessions": 0}


@pytest.mark.parametrize(
    ("call", "fields", "who"),
    [
        ("publish", {"room": "r", "exclude": {"user": "user:ann"}}, ["bob"]),
        ("publish", {"room": "r", "exclude": {"sid": "b1"}}, ["a1", "a2"]),
        ("publish", {"room": "r", "exclude": {"user": "user:ann", "sid": "a1"}}, ["a2", "bob"]),
        ("publish", {"room": "r", "exclude": {"user": "user:bob", "sid": "a1"}}, ["a1", "a2", "bob"]),
        ("broadcast", {"exclude": {"user": "user:ann", "sid": "a2"}}, ["a1", "bob"]),
        ("send", {"user": "user:ann", "exclude": {"sid": "a2"}}, ["a1"]),
    ],
)
@pytest.mark.parametrize("hot", [False, True])
async def test_whoever_a_call_excludes_hears_nothing_of_it(
    start_gateway: StartGateway, call: str, fields: dict[str, Any], who: list[str], hot: bool
) -> None:
    gateway, internal = await start(start_gateway)
    async with (
        Stream(internal) as stream,
        Client(gateway.base, ticket="dev:ann", sid="a1") as first,
        Client(gateway.base, ticket="dev:ann", sid="a2") as second,
        Client(gateway.base, ticket="dev:bob", sid="b1") as bob,
    ):
        everybody = {"a1": first, "a2": second, "bob": bob}
        for client in everybody.values():
            await client.join("r")
        frame = b"\x01\x02\x00x"
        said = {"hot": base64.b64encode(frame).decode()} if hot else {"svc": "g", "type": "t", "data": 1}
        await stream.say({"call": call, "id": 1, **fields, **said})
        while (answer := await stream.hear()).get("id") is None:
            pass
        assert "code" not in answer
        for client in everybody.values():  # behind what was called
            await client.send("sys", "ping", flags=0)
        for name, client in everybody.items():
            heard = await client.receive_frame()
            if name in who:
                assert (heard.data == frame) if hot else (json.loads(heard.data)["type"] == "t"), name
            else:
                assert json.loads(heard.data)["type"] == "pong", name


@pytest.mark.parametrize(
    "exclude", [{}, {"user": ""}, {"sid": 1}, {"user": "u", "extra": 1}, "user:ann", None], ids=repr
)
async def test_an_exclusion_that_is_none_does_nothing(start_gateway: StartGateway, exclude: Any) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await stream.say({"call": "publish", "room": "r", "svc": "g", "type": "t", "exclude": exclude, "id": 1})
        while (answer := await stream.hear()).get("id") is None:
            pass
        assert answer["code"] == "BAD_REQUEST"
        assert "/exclude" in answer["msg"]
        await ann.expect_silence()


async def test_a_join_becomes_active_only_where_there_is_none_or_it_says_so(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:

        async def join(room: str, **fields: Any) -> None:
            await stream.say({"call": "join", "room": room, "user": "user:ann", "id": room, **fields})
            while (answer := await stream.hear()).get("id") != room:
                pass
            assert answer["sessions"] == 1
            assert (await ann.receive())["type"] == "joined"

        async def active() -> str:
            """The room that something goes to which names none."""
            await ann.send("chat", "send", {"msg": "where"})
            room = (await ann.receive())["room"]
            assert isinstance(room, str)
            return room

        await join("first")
        assert await active() == "first"
        await join("second")
        assert await active() == "first"
        await join("third", active=True)
        assert await active() == "third"
        await join("fourth", active=False)
        assert await active() == "third"
        await stream.say({"call": "join", "room": "fifth", "user": "user:ann", "active": "yes", "id": 5})
        while (answer := await stream.hear()).get("id") != 5:
            pass
        assert (answer["code"], "/active" in answer["msg"]) == ("BAD_REQUEST", True)


async def test_one_call_publishes_into_several_rooms_and_leaves_out_whom_it_is_told_to(
    start_gateway: StartGateway,
) -> None:
    gateway, internal = await start(start_gateway)
    async with (
        Stream(internal) as stream,
        Client(gateway.base, ticket="dev:ann") as ann,
        Client(gateway.base, ticket="dev:bob") as bob,
    ):
        for room in ("a", "b"):
            await ann.join(room)
            await bob.join(room)
        messages = {"svc": "g", "type": "t", "data": 1}
        fields = {"rooms": ["a", "b"], "messages": messages, "exclude": {"user": "user:bob"}}
        await stream.say({"call": "publish", **fields, "id": 1})
        while (answer := await stream.hear()).get("id") is None:
            pass
        assert answer == {"id": 1, "rooms": {"a": 2, "b": 2}}
        assert [(await ann.receive())["room"] for _ in range(2)] == ["a", "b"]
        await bob.expect_silence()
