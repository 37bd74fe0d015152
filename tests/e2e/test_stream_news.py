"""News over a backend's stream: one stream at a time, whole and in order, acknowledged, and sent again to the next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api import start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.streams import STREAM, Stream

EVENTS = ["connected", "disconnected", "joined", "left", "publication"]


async def start(start_gateway: StartGateway, **settings: Any) -> tuple[Running, str]:
    news = {"events": EVENTS, "event_batch": {"max_delay_ms": 10}}
    return await start_with_api(start_gateway, acme={"backend": STREAM | news | settings})


def last_seq(batch: dict[str, Any]) -> int:
    seq = batch["events"][-1]["seq"]
    assert isinstance(seq, int)
    return seq


async def acknowledge(stream: Stream, batch: dict[str, Any]) -> None:
    await stream.say({"ack": {"node": batch["node"], "seq": last_seq(batch)}})


@pytest.mark.parametrize("msgpack", [False, True])
async def test_events_come_in_order_and_the_next_batch_waits_for_the_ack(
    start_gateway: StartGateway, msgpack: bool
) -> None:
    gateway, internal = await start(start_gateway, timeout_ms=5000)
    async with Stream(internal, msgpack=msgpack) as stream:
        async with Client(gateway.base, ticket="dev:ann") as ann:
            first = await stream.question("events")
            assert [one["type"] for one in first["events"]] == ["connected"]
            await ann.join("r")
            await ann.send("chat", "send", {"msg": "hi"}, room="r")
            await ann.receive()
            await acknowledge(stream, first)
            second = await stream.question("events")
            assert second["first_seq"] == 2
            assert [one["type"] for one in second["events"]] == ["joined", "publication"]
            await acknowledge(stream, second)
        third = await stream.question("events")
        assert [one["type"] for one in third["events"]] == ["left", "disconnected"]
        await acknowledge(stream, third)


async def test_what_was_not_acknowledged_is_sent_again_to_whoever_is_next(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, timeout_ms=5000)
    async with Client(gateway.base):
        async with Stream(internal) as stream:
            first = await stream.question("events")
        async with Stream(internal) as stream:
            again = await stream.question("events")
            assert {**again, "time": 0} == {**first, "time": 0}
            await acknowledge(stream, again)
    async with Stream(internal) as stream:
        following = await stream.question("events")
        assert following["first_seq"] == last_seq(first) + 1
        assert following["missed"] == 0
        await acknowledge(stream, following)


async def test_one_that_acknowledges_nothing_loses_its_turn(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, timeout_ms=100)
    async with Stream(internal) as silent, Client(gateway.base):
        first = await silent.question("events")
        queue = gateway.process._parts.backends._backends["acme"].news.queue
        async with Stream(internal) as other:

            async def acknowledge_each() -> None:
                """On a busy machine an acknowledgement may come too late as well."""
                while True:
                    batch = await other.question("events")
                    assert batch["id"] == first["id"]
                    await acknowledge(other, batch)

            acknowledging = asyncio.create_task(acknowledge_each())
            await until(lambda: queue.sent == 1 or acknowledging.done())
            assert not acknowledging.done(), acknowledging
            acknowledging.cancel()
            await asyncio.gather(acknowledging, return_exceptions=True)


async def test_an_ack_of_something_else_is_none(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, timeout_ms=200)
    async with Stream(internal) as stream, Client(gateway.base):
        batch = await stream.question("events")
        await stream.say({"ack": {"node": "another", "seq": last_seq(batch)}})
        await stream.say({"ack": {"node": batch["node"], "seq": 99}})
        assert (await stream.question("events"))["id"] == batch["id"]


async def test_a_drain_hands_on_what_became_of_the_clients_before_the_stream_is_closed(
    start_gateway: StartGateway,
) -> None:
    gateway, internal = await start(start_gateway)
    heard: list[str] = []
    async with Stream(internal) as stream, Client(gateway.base) as client:
        await client.join("r")
        await acknowledge(stream, await stream.question("events"))
        draining = asyncio.create_task(gateway.process.drain())
        assert (await client.receive())["type"] == "draining"
        await client.ws.close()
        while "disconnected" not in heard:
            message = await stream.hear()
            if message["kind"] == "events":
                heard += [one["type"] for one in message["events"]]
                await acknowledge(stream, message)
        assert (await stream.expect_close())[0] == 1001
        await draining
        assert "left" in heard
