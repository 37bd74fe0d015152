"""News of a real gateway at a real backend: what happened, in order, and who says what about whom."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.api import Backend as Caller
from tests.api import start_with_api
from tests.backends import SECRET, Backend, backend
from tests.client import Client, until
from tests.conftest import Running, StartGateway

ALL = ["connected", "disconnected", "joined", "left", "room_opened", "room_closed", "publication"]


async def start(start_gateway: StartGateway, there: Backend, **settings: Any) -> Running:
    there_settings = {"url": there.url, "secret": SECRET, "events": ALL, "event_batch": {"max_delay_ms": 10}}
    return await start_gateway(acme={"backend": there_settings | settings})


async def told(there: Backend, count: int) -> list[dict[str, Any]]:
    await until(lambda: len(there.events()) >= count)
    return there.events()


async def test_a_visit_is_told_in_order(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there)
        async with Client(gateway.base, ticket="dev:ann", sid="tab") as ann:
            await ann.join("match:1")
            await ann.send("chat", "send", {"msg": "hi"})
            await ann.receive()
            await ann.send("room", "leave", room="match:1")
            await ann.receive()
        events = await told(there, 7)
        assert [one["type"] for one in events] == [
            "connected",
            "room_opened",
            "joined",
            "publication",
            "left",
            "room_closed",
            "disconnected",
        ]
        assert [one["seq"] for one in events] == list(range(1, 8))
        session = {"user": "user:ann", "sid": "tab", "generation": 1}
        connected, _, joined, publication, left, _, disconnected = events
        assert connected["session"] == session
        assert connected["remote_address"] == "127.0.0.1"
        assert (joined["room"], joined["users"], joined["sessions"]) == ("match:1", 1, 1)
        assert publication["message"] == {"svc": "chat", "type": "msg", "data": {"from": "user:ann", "msg": "hi"}}
        assert (left["why"], left["users"]) == ("asked", 0)
        assert disconnected["session"] == session
        assert (disconnected["code"], disconnected["superseded"], disconnected["sessions_left"]) == (1000, False, 0)
        assert disconnected["lasted_ms"] >= 0
        [node] = {one["node"] for one in there.of_kind("events")}
        assert node


async def test_rooms_are_left_before_the_end_and_the_reason_is_told(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, events=["left", "disconnected"])
        async with Client(gateway.base, ticket="dev:ann") as ann:
            for number in range(100):
                await ann.join(f"r:{number}")
        events = await told(there, 101)
        assert [one["type"] for one in events] == ["left"] * 100 + ["disconnected"]
        assert {one["why"] for one in events[:-1]} == {"disconnected"}


async def test_who_is_replaced_is_superseded_and_who_is_left_is_counted(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, events=["disconnected"])
        async with (
            Client(gateway.base, ticket="dev:ann", sid="tab") as old,
            Client(gateway.base, ticket="dev:ann", sid="other"),
        ):
            async with Client(gateway.base, ticket="dev:ann", sid="tab"):
                await old.expect_close()
                [first] = await told(there, 1)
                assert (first["superseded"], first["sessions_left"], first["code"]) == (True, 2, 4500)
            second = (await told(there, 2))[1]
            assert (second["superseded"], second["sessions_left"]) == (False, 1)
            assert second["session"]["generation"] > first["session"]["generation"]


async def test_only_rooms_that_match_are_told_of(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, events=["joined", "publication"], event_rooms=["match:*"])
        async with Client(gateway.base) as client:
            for room in ("lobby", "match:1"):
                await client.join(room)
                await client.send("chat", "send", {"msg": room})
                await client.receive()
            events = await told(there, 2)
            assert [(one["type"], one["room"]) for one in events] == [("joined", "match:1"), ("publication", "match:1")]


async def test_a_second_join_is_no_news(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, events=["joined", "left"])
        async with Client(gateway.base) as client:
            await client.join("r")
            await client.join("r")
            await client.send("room", "leave", room="r")
            await client.receive()
            assert [one["type"] for one in await told(there, 2)] == ["joined", "left"]


async def test_what_a_message_is_answered_with_is_a_publication_of_its_sender_and_has_its_offset(
    start_gateway: StartGateway,
) -> None:
    async with backend() as there:

        async def answer(_: dict[str, Any]) -> Any:
            publish = {"room": "match:1", "svc": "ref", "type": "moved", "data": 7}
            hot = {"room": "match:1", "hot": "AQIAeA=="}
            return {"effects": [{"publish": publish}, {"publish": hot}, {"send": {"user": "user:ann", "type": "x"}}]}

        there.answer = answer
        news = {"url": there.url, "secret": SECRET, "events": ["publication"], "event_batch": {"max_delay_ms": 10}}
        gateway = await start_gateway(
            acme={
                "backend": news,
                "services": {"ext": {"game": {"kind": "webhook"}, "chat": {"kind": "chat"}}},
                "policy": {"ext_allowlist": ["room:*", "chat:*", "game:*"]},
                "rooms": [{"match": "*", "history": {"max_messages": 10}}],
            }
        )
        async with Client(gateway.base, ticket="dev:ann", sid="tab") as ann:
            await ann.send("game", "move")  # nobody is in the room, which keeps it for who comes
            await told(there, 1)
            await ann.join("match:1")
            for id in ("one", "one"):
                await ann.send("game", "move", id=id, flags=4, seq=1)
                while b'"ack"' not in (heard := _bytes((await ann.receive_frame()).data)):
                    pass
                assert json.loads(heard)["data"] == {"offset": 2}
            await ann.send("chat", "send", {"msg": "hi"})
            events = await told(there, 3)
            session = {"user": "user:ann", "sid": "tab"}
            assert [(one["message"]["svc"], one["offset"]) for one in events] == [("ref", 1), ("ref", 2), ("chat", 3)]
            assert events[0]["message"] == {"svc": "ref", "type": "moved", "data": 7}
            assert all(session.items() <= one["session"].items() and one["room"] == "match:1" for one in events)


async def test_an_answer_that_outlives_its_connection_is_told_as_its_sender_s(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gone = asyncio.Event()

        async def answer(question: dict[str, Any]) -> Any:
            if question["kind"] == "message":
                await gone.wait()
            return {"effects": [{"publish": {"room": "r", "type": "last", "data": 1}}]}

        there.answer = answer
        news = {"url": there.url, "secret": SECRET, "events": ["publication"], "event_batch": {"max_delay_ms": 10}}
        services = {"ext": {"game": {"kind": "webhook"}, "chat": {"kind": "chat"}}}
        policy = {"ext_allowlist": ["room:*", "game:*"]}
        gateway = await start_gateway(acme={"backend": news, "services": services, "policy": policy})
        async with Client(gateway.base, ticket="dev:bob") as bob:
            await bob.join("r")
            async with Client(gateway.base, ticket="dev:ann") as ann:
                await ann.send("game", "bye")
                await until(lambda: bool(there.of_kind("message")))
            tenant = gateway.process.tenant("acme")
            assert tenant is not None
            await until(lambda: tenant.sessions == 1)
            gone.set()
            assert (await bob.receive())["type"] == "last"
            [event] = await told(there, 1)
            assert (event["session"]["user"], event["message"]["type"]) == ("user:ann", "last")


async def test_what_the_backend_publishes_by_itself_is_no_news(start_gateway: StartGateway) -> None:
    async with backend() as there:
        news = {"url": there.url, "secret": SECRET, "events": ["publication"], "event_batch": {"max_delay_ms": 10}}
        gateway, internal = await start_with_api(start_gateway, acme={"backend": news})
        async with Client(gateway.base) as client, Caller(internal) as caller:
            await client.join("r")
            await caller.post("/v1/tenants/acme/rooms/r/publish", {"svc": "news", "type": "item", "data": 1})
            assert (await client.receive())["data"] == 1
            await client.send("chat", "send", {"msg": "hi"})
            assert [one["message"]["svc"] for one in await told(there, 1)] == ["chat"]


async def test_the_end_of_the_gateway_hands_on_what_waits(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(
            start_gateway, there, events=["connected", "disconnected"], event_batch={"max_delay_ms": 10_000}
        )
        async with Client(gateway.base):
            pass
        await gateway.process.drain()
        assert [one["type"] for one in there.events()] == ["connected", "disconnected"]


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
