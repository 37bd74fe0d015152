"""Questions over a backend's stream: answers, failures, order, several streams that share rooms."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api import start_with_api
from tests.backends import SECRET, backend
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.streams import STREAM, Stream

ALLOW = {"ext_allowlist": ["room:*", "chat:*", "game:*", "orders:*"]}
SERVICES = {"ext": {"chat": {"kind": "chat"}, "game": {"kind": "webhook"}, "orders": {"kind": "webhook", "batch": 8}}}


async def start(start_gateway: StartGateway, **settings: Any) -> tuple[Running, str]:
    acme = {"backend": STREAM | settings, "services": SERVICES, "policy": ALLOW}
    return await start_with_api(start_gateway, acme=acme)


def counters(gateway: Running) -> Any:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.counters.stream


@pytest.mark.parametrize("msgpack", [False, True])
async def test_a_message_is_asked_and_its_effects_are_carried_out(start_gateway: StartGateway, msgpack: bool) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, msgpack=msgpack) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("match:1")
        await ann.send("game", "move", {"to": [1, 2.5, "ä"]}, seq=7, room="match:1", flags=4)
        question = await stream.question("message")
        assert question["tenant"] == "acme"
        assert question["session"]["user"] == "user:ann"
        assert question["message"]["data"] == {"to": [1, 2.5, "ä"]}
        assert question["message"]["room"] == "match:1"
        effects = [{"publish": {"type": "moved", "data": {"x": 1}}}, {"reply": {"ok": True}}]
        await stream.say({"id": question["id"], "effects": effects})
        heard = [await ann.receive() for _ in range(3)]
        assert {one["type"] for one in heard} == {"moved", "move", "ack"}
        assert next(one for one in heard if one["type"] == "move")["data"] == {"ok": True}


async def test_no_answer_in_time_is_told_and_the_late_one_is_counted(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, timeout_ms=100)
    async with Stream(internal) as stream, Client(gateway.base) as client:
        await client.send("game", "x", seq=1)
        late = await stream.question("message")
        assert (await client.expect_error("TIMEOUT"))["seq"] == 1
        await stream.say({"id": late["id"], "effects": [{"reply": "late"}]})
        await until(lambda: counters(gateway).unknown == 1)
        await client.expect_silence()


async def test_an_answer_that_cannot_be_used_is_told(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base) as client:
        await client.send("game", "x", seq=2)
        question = await stream.question("message")
        await stream.say({"id": question["id"], "effects": [], "surprise": 1})
        assert (await client.expect_error("INTERNAL"))["seq"] == 2
        await client.expect_silence()


async def test_nobody_connected_and_no_url_is_unavailable(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base) as client:
        await client.send("game", "x", seq=1)
        assert (await client.expect_error("UNAVAILABLE"))["seq"] == 1
        async with Stream(internal) as stream:
            await until(lambda: counters(gateway).connected == 1)
            await client.send("game", "x", seq=2)
            question = await stream.question("message")
            await stream.say({"id": question["id"], "effects": [{"reply": 1}]})
            assert (await client.receive())["data"] == 1


async def test_with_a_url_the_stream_is_asked_while_it_is_there(start_gateway: StartGateway) -> None:
    async with backend() as there:

        async def answer(_: dict[str, Any]) -> Any:
            return {"effects": [{"reply": "http"}]}

        there.answer = answer
        gateway, internal = await start(start_gateway, url=there.url, secret=SECRET)
        async with Client(gateway.base) as client:
            await client.send("game", "x")
            assert (await client.receive())["data"] == "http"
            async with Stream(internal) as stream:
                await until(lambda: counters(gateway).connected == 1)
                await client.send("game", "x")
                question = await stream.question("message")
                await stream.say({"id": question["id"], "effects": [{"reply": "stream"}]})
                assert (await client.receive())["data"] == "stream"
            await until(lambda: counters(gateway).connected == 0)
            await client.send("game", "x")
            assert (await client.receive())["data"] == "http"


@pytest.mark.parametrize("rude", [False, True])
async def test_one_that_goes_takes_its_questions_and_the_other_answers_what_follows(
    start_gateway: StartGateway, rude: bool
) -> None:
    gateway, internal = await start(start_gateway, breaker={"failures": 1, "pause_ms": 60_000}, timeout_ms=20_000)
    async with Stream(internal) as one, Stream(internal) as other, Client(gateway.base) as client:
        await until(lambda: counters(gateway).connected == 2)
        await client.join("match:1")
        await client.send("game", "x", seq=1, room="match:1")
        first, second = asyncio.create_task(one.question("message")), asyncio.create_task(other.question("message"))
        done, pending = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        asked, left = (one, other) if first in done else (other, one)
        [listening] = pending
        if rude:
            asked.drop()
        else:
            await asked.ws.close()
        assert (await client.expect_error("TIMEOUT"))["seq"] == 1
        await client.send("game", "x", seq=2, room="match:1")
        question = await listening
        await left.say({"id": question["id"], "effects": [{"reply": 2}]})
        assert (await client.receive())["seq"] == 2


async def test_what_concerns_a_room_goes_to_one_of_them(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as one, Stream(internal) as other:
        asked: dict[str, set[Stream]] = {}

        async def answer(stream: Stream) -> None:
            while True:
                question = await stream.hear()
                if question["kind"] == "message":
                    asked.setdefault(question["message"]["room"], set()).add(stream)
                    await stream.say({"id": question["id"], "effects": [{"reply": 1}]})

        answering = [asyncio.create_task(answer(stream)) for stream in (one, other)]
        await until(lambda: counters(gateway).connected == 2)
        async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
            for client in (ann, bob):
                for number in range(16):
                    await client.send("game", "x", seq=number, room=f"match:{number}")
                    await client.receive()
        assert len(asked) == 16
        assert all(len(streams) == 1 for streams in asked.values())
        assert {stream for streams in asked.values() for stream in streams} == {one, other}
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def test_a_batch_is_parted_among_them_and_one_alone_is_a_batch_too(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, max_in_flight=1)
    async with Stream(internal) as one, Stream(internal) as other:
        several: list[int] = []

        async def answer(stream: Stream) -> None:
            while True:
                question = await stream.hear()
                if question["kind"] == "messages":
                    several.append(len(question["messages"]))
                    await asyncio.sleep(0.01)
                    answers = [{"effects": [{"reply": each["session"]["user"]}]} for each in question["messages"]]
                    await stream.say({"id": question["id"], "answers": answers})

        answering = [asyncio.create_task(answer(stream)) for stream in (one, other)]
        await until(lambda: counters(gateway).connected == 2)
        clients = [Client(gateway.base, ticket=f"dev:u{number}") for number in range(12)]
        for client in clients:
            await client.__aenter__()
        for client in clients:
            await client.send("orders", "x")
        for number, client in enumerate(clients):
            assert (await client.receive())["data"] == f"user:u{number}"
            await client.close()
        assert sum(several) == 12
        assert max(several) > 1
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def test_one_connections_messages_are_asked_one_after_the_other(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base) as client:
        for number in range(10):
            await client.send("game", "x", seq=number)
        for number in range(10):
            question = await stream.question("message")
            assert question["message"]["seq"] == number
            await stream.say({"id": question["id"], "effects": [{"reply": number}]})
        assert [(await client.receive())["data"] for _ in range(10)] == list(range(10))


async def test_another_stream_cannot_answer(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream, Client(gateway.base) as client:
        await client.send("game", "x", seq=1)
        question = await stream.question("message")
        async with Stream(internal) as other:
            await other.say({"id": question["id"], "effects": [{"reply": "not mine"}]})
            await until(lambda: counters(gateway).unknown == 1)
        await stream.say({"id": question["id"], "effects": [{"reply": "mine"}]})
        assert (await client.receive())["data"] == "mine"
