"""Rooms over a backend's stream: their numbers, whom they are with, and the hot lane both ways."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.api import start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.streams import STREAM, Stream
from wsprism.realtime.stream.session import STREAM_QUEUE
from wsprism.settings import SettingsError

ROOMS = [f"match:{number}" for number in range(200)]
HOT = {1: "echo", 9: "backend"}


async def start(start_gateway: StartGateway, **acme: Any) -> tuple[Running, str]:
    tenant = {
        "backend": STREAM,
        "services": {"ext": {"game": {"kind": "webhook"}}, "hot": HOT},
        "policy": {"ext_allowlist": ["room:*", "game:*"], "hot_allowlist": ["1:*", "9:*"]},
    }
    return await start_with_api(start_gateway, acme=tenant | acme)


def counters(gateway: Running) -> Any:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.counters.stream


class Holder:
    """A stream that keeps what it is told of rooms."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rooms: dict[str, int] = {}
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            heard = await self.stream.hear()
            if heard["kind"] == "rooms":
                for one in heard["lost"]:
                    assert self.rooms.pop(one["room"]) == one["number"]
                for one in heard["gained"]:
                    assert one["room"] not in self.rooms
                    self.rooms[one["room"]] = one["number"]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.mark.parametrize("msgpack", [False, True])
async def test_a_room_is_gained_when_it_opens_and_lost_when_it_closes(
    start_gateway: StartGateway, msgpack: bool
) -> None:
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base) as client:
        await client.join("before")
        async with Stream(internal, msgpack=msgpack) as stream:
            [first] = (await stream.question("rooms"))["gained"]
            assert first["room"] == "before"
            await client.join("after")
            [second] = (await stream.question("rooms"))["gained"]
            assert second["room"] == "after"
            assert second["number"] != first["number"]
            await client.send("room", "leave", room="after")
            assert await stream.question("rooms") == {"kind": "rooms", "gained": [], "lost": [second]}
            await client.join("after")
            assert (await stream.question("rooms"))["gained"][0]["number"] not in (first["number"], second["number"])


async def test_questions_and_news_of_a_room_have_its_number(start_gateway: StartGateway) -> None:
    backend = STREAM | {"ask": ["join"], "events": ["room_opened"], "event_batch": {"max_delay_ms": 0}}
    gateway, internal = await start(start_gateway, backend=backend)
    async with Stream(internal) as stream, Client(gateway.base) as client:
        number: int | None = None
        for joins in range(2):
            await client.send("room", "join", room="r")
            question = await stream.question("join")
            assert question.get("number") == number
            await stream.say({"id": question["id"], "allow": True})
            if joins == 0:
                [gained] = (await stream.question("rooms"))["gained"]
                number = gained["number"]
                [event] = (news := await stream.question("events"))["events"]
                assert (event["type"], event["number"]) == ("room_opened", number)
                await stream.say({"ack": {"node": news["node"], "seq": event["seq"]}})
            assert (await client.receive())["type"] == "joined"
        await client.send("game", "x", room="r")
        assert (await stream.question("message"))["message"]["number"] == number


async def test_every_room_is_with_exactly_one_stream_whoever_comes_and_goes(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base) as client:
        for room in ROOMS[:150]:
            await client.join(room)
        holders: list[Holder] = []

        def whole() -> bool:
            held = [room for holder in holders for room in holder.rooms]
            return sorted(held) == sorted(joined)

        joined = set(ROOMS[:150])
        for count in range(4):
            stream = await Stream(internal).__aenter__()
            holders.append(Holder(stream))
            await until(lambda: len(holders[-1].rooms) > 0 and whole())
            assert all(holder.rooms for holder in holders), count
        for room in ROOMS[150:]:
            await client.join(room)
            joined.add(room)
        await until(whole)
        kept = {id(holder): set(holder.rooms) for holder in holders}
        gone = holders.pop(1)
        gone.stream.drop()
        await until(whole)
        for holder in holders:
            assert kept[id(holder)] <= set(holder.rooms)
        for holder in (gone, *holders):
            await holder.stop()
            await holder.stream.close()


@pytest.mark.parametrize("msgpack", [False, True])
async def test_hot_frames_go_to_the_backend_and_what_it_publishes_to_members(
    start_gateway: StartGateway, msgpack: bool
) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, msgpack=msgpack) as stream:
        async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
            await ann.join("match:1")
            await bob.join("match:1")
            [room] = (await stream.question("rooms"))["gained"]
            await ann.ws.send_bytes(b"\x09\x01\x00up")
            await bob.ws.send_bytes(b"\x09\x01\x03\x07\x00\x00\x00down")
            assert await stream.hear_hot() == (room["number"], "user:ann", b"\x09\x01\x00up")
            assert await stream.hear_hot() == (room["number"], "user:bob", b"\x09\x01\x03\x07\x00\x00\x00down")
            assert (await bob.receive())["type"] == "ack"
            await stream.say_hot(room["number"], b"\x09\x02\x00state")
            assert await ann.receive_hot() == b"\x09\x02\x00state"
            assert await bob.receive_hot() == b"\x09\x02\x00state"
        assert counters(gateway).hot_received == 1


async def test_without_a_stream_a_hot_frame_is_refused_and_one_into_no_room_is_counted(
    start_gateway: StartGateway,
) -> None:
    gateway, internal = await start(start_gateway)
    async with Client(gateway.base) as client:
        await client.join("r")
        await client.ws.send_bytes(b"\x09\x01\x00x")
        await client.expect_error("UNAVAILABLE")
        async with Stream(internal) as stream:
            [room] = (await stream.question("rooms"))["gained"]
            await stream.say_hot(4711, b"\x09\x02\x00x")
            await until(lambda: counters(gateway).hot_unknown_room == 1)
            for wrong in (b"\x09", b"\x09\x02\x04x", b"\x09\x02\x00" + b"x" * 70_000):
                await stream.say_hot(room["number"], wrong)
                answer = await stream.hear()
                assert answer["code"] == "BAD_REQUEST"
            await client.expect_silence()


async def test_a_stream_that_lags_behind_gets_the_newest_frame_of_each_key(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, qos={"conflate": "sender"})
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await stream.question("rooms")
        [link] = gateway.process._keyed.links
        link.session.outlet.queue.set_congested(True)
        link.session.outlet.blocked = True
        for number in range(100):
            await ann.ws.send_bytes(b"\x09\x01\x00" + str(number).encode())
        await ann.expect_silence()
        link.session.outlet.flusher.resume(link.session.outlet)
        assert (await stream.hear_hot())[2] == b"\x09\x01\x0099"
        assert counters(gateway).lanes.conflated[2] == 99


@pytest.mark.parametrize(
    ("bound", "kept"), [({"hot_max_frames": 10}, 10), ({"hot_max_bytes": 215}, 10)], ids=["frames", "bytes"]
)
async def test_without_conflation_the_oldest_frames_give_way_and_are_counted(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, bound: dict[str, int], kept: int
) -> None:
    monkeypatch.setattr("wsprism.realtime.stream.session.STREAM_QUEUE", replace(STREAM_QUEUE, **bound))
    gateway, internal = await start(start_gateway, qos={"conflate": "none"})
    async with Stream(internal) as stream, Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await stream.question("rooms")
        [link] = gateway.process._keyed.links
        link.session.outlet.queue.set_congested(True)
        link.session.outlet.blocked = True
        for number in range(100):
            await ann.ws.send_bytes(b"\x09\x01\x00" + f"{number:03}".encode())
        await until(lambda: counters(gateway).lanes.offered[2] == 100)
        assert counters(gateway).lanes.dropped[2] == 100 - kept
        link.session.outlet.flusher.resume(link.session.outlet)
        heard = [(await stream.hear_hot())[2] for _ in range(kept)]
        assert heard == [b"\x09\x01\x00" + f"{number:03}".encode() for number in range(100 - kept, 100)]


async def test_a_configuration_without_a_stream_has_no_hot_service_of_the_backend(start_gateway: StartGateway) -> None:
    gateway, _ = await start(start_gateway)
    with pytest.raises(SettingsError, match=r"hot service 9 goes to the backend's stream: set backend\.stream: true"):
        await gateway.reconfigure(lambda data: data["tenants"][0].pop("backend"))
