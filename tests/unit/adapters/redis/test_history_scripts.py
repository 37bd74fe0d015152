"""publish, read, positions, forget and sweep on the real server: offsets, epochs, bounds, ids, each turn once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from tests.redis_scripts import PREFIX, Scripts, frames
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.redis.framing import framed
from wsprism.adapters.redis.opening import Opener
from wsprism.adapters.redis.protocol import Refused
from wsprism.policy.history import Histories, HistoryBounds, Position

BOUNDS = HistoryBounds(max_messages=4, max_bytes=100, ttl_s=600.0, recover_max_messages=100)
P = PREFIX.decode()


@pytest.fixture(params=ENGINES, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


@dataclass
class Answer:
    epoch: str
    before: int
    offsets: list[int]


class Rooms:
    """A node, its scripts, and what one room's channel said to it."""

    def __init__(self, scripts: Scripts) -> None:
        self.scripts = scripts
        self.heard: list[list[str]] = []
        self.pushes: list[Any] = []
        self.last = 0
        self._batches = count(1)
        self._epochs = count(1)

    async def publish(
        self,
        room: str,
        *bodies: str,
        id: str = "",
        bounds: HistoryBounds | None = BOUNDS,
        batch: int = 0,
        node: str = "7",
        most: tuple[int, int] = (1000, 10**9),
        survives: int = 0,
    ) -> Answer:
        head = (node, batch or next(self._batches), room, f"epoch-{next(self._epochs)}", survives)
        if bounds is None:
            packed = framed([body.encode() for body in bodies])
            answer = await self.scripts.run("publish_only", *head, len(bodies), packed)
        else:
            kept = (bounds.max_messages, bounds.max_bytes, int(bounds.ttl_s * 1000))
            pairs = [word for body in bodies for word in (id, body)]
            answer = await self.scripts.run("publish", *head, *kept, *most, *pairs)
        if answer[0] != "OK":
            raise Refused(answer[0], "")
        before = int(answer[2])
        if bounds is None:
            assert answer[3] == ""
            return Answer(answer[1], before, list(range(before + 1, before + 1 + len(bodies))))
        return Answer(answer[1], before, [int(one) for one in answer[3].split(",")])

    async def read(
        self,
        room: str,
        offset: int | str = "",
        limit: int = 1000,
        *,
        reverse: int = 0,
        ttl_ms: int = 600_000,
        survives: int = 0,
        begin: str = "",
    ) -> tuple[Position, int, dict[int, str]] | None:
        answer = await self.scripts.run("read", room, survives, ttl_ms, offset, limit, reverse, begin, "")
        if answer[0] == "NONE":
            return None
        items = answer[5:]
        kept = {int(items[at]): items[at + 2] for at in range(0, len(items), 3)}
        return Position(answer[1], int(answer[2])), int(answer[3]), kept

    async def purge(self, room: str, epoch: str, *, node: str = "7", again: int = 0) -> Any:
        number = again or next(self._batches)
        self.last = number
        return await self.scripts.run("forget", node, number, room, epoch, 0)

    def hear(self) -> list[list[str]]:
        """All that was said in the channel of room a."""
        self.heard.extend(frames(push[2]) for push in self.pushes)
        self.pushes.clear()
        return self.heard

    async def member(self, room: str) -> None:
        """Node 7 has one, and listens."""
        await self.scripts.run("enter", 7, room)
        self.hear()
        self.heard.clear()


@pytest.fixture
async def rooms(server: RedisServer) -> AsyncIterator[Rooms]:
    pushes: list[Any] = []
    connection = await Opener(parse_address(server.url)).open("test", pushes.append)
    rooms = Rooms(Scripts(connection))
    rooms.pushes = pushes
    await rooms.scripts.command("FLUSHALL")
    await rooms.scripts.command("ZADD", f"{P}leases", 10**14, 7)
    subscribed = asyncio.get_running_loop().create_future()
    connection.subscribe("SSUBSCRIBE", [PREFIX + b"c:a"], subscribed.set_result)
    await subscribed
    yield rooms
    await connection.close()


async def test_turns_get_offsets_without_a_gap_and_every_node_hears_one_message_a_turn(rooms: Rooms) -> None:
    await rooms.member("a")
    assert (await rooms.publish("a", "1", "2")).offsets == [1, 2]
    answer = await rooms.publish("a", "3")
    assert (answer.before, answer.offsets) == (2, [3])
    assert rooms.hear() == [
        ["T", answer.epoch, "7", "1", "1", "1", "2"],
        ["T", answer.epoch, "7", "2", "3", "3"],
    ]
    assert (await rooms.publish("b", "1")).offsets == [1]


async def test_bodies_are_bytes_whatever_is_in_them(rooms: Rooms) -> None:
    await rooms.member("a")
    body = "\udcff\x00\r\n" + "x" * 50
    raw = body.encode("utf-8", "surrogateescape")
    await rooms.scripts.run("publish", 7, 1, "a", "e", 0, 9, 999, 9999, 9, 999, "", raw)
    assert rooms.hear() == [["T", "e", "7", "1", "1", body]]
    found = await rooms.read("a")
    assert found is not None
    assert found[2] == {1: body}


async def test_a_turn_that_is_asked_again_has_its_first_answer_and_is_in_the_log_once(rooms: Rooms) -> None:
    await rooms.member("a")
    first = await rooms.publish("a", "1", "2", batch=5)
    assert await rooms.publish("a", "1", "2", batch=5) == first
    assert (await rooms.publish("a", "3", batch=6)).offsets == [3]
    with pytest.raises(Refused, match="STALE"):
        await rooms.publish("a", "1", "2", batch=5)
    assert len(rooms.hear()) == 2
    found = await rooms.read("a")
    assert found is not None
    assert found[2] == {1: "1", 2: "2", 3: "3"}


async def test_a_turn_that_is_not_kept_is_told_once_however_often_it_is_asked_again(rooms: Rooms) -> None:
    await rooms.member("a")
    first = await rooms.publish("a", "1", "2", batch=5, bounds=None)
    assert await rooms.publish("a", "1", "2", batch=5, bounds=None) == first
    assert (await rooms.publish("a", "3", batch=6, bounds=None)).offsets == [3]
    with pytest.raises(Refused, match="STALE"):
        await rooms.publish("a", "1", "2", batch=5, bounds=None)
    with pytest.raises(Refused, match="FENCED"):
        await rooms.publish("a", "1", node="8", bounds=None)
    assert rooms.hear() == [
        ["T", first.epoch, "7", "5", "1", "1", "2"],
        ["T", first.epoch, "7", "6", "3", "3"],
    ]


async def test_the_life_of_a_primary_has_one_name_and_another_one_after_it_was_a_replica(
    rooms: Rooms, server: RedisServer
) -> None:
    """It was one for so short a time that no byte was lost and no connection, and nobody has looked in between."""
    await rooms.member("a")
    before = [await rooms.publish("a", "1", bounds=bounds) for bounds in (BOUNDS, None, None)]
    assert {one.epoch for one in before} == {before[0].epoch}
    await rooms.scripts.command("REPLICAOF", "127.0.0.1", server.port + 1)
    await rooms.scripts.command("REPLICAOF", "NO", "ONE")
    after = await rooms.publish("a", "2", bounds=None)
    assert (after.epoch != before[0].epoch, after.offsets) == (True, [1])


async def test_a_turn_of_a_node_that_was_cleaned_up_after_is_not_published(rooms: Rooms) -> None:
    with pytest.raises(Refused, match="FENCED"):
        await rooms.publish("a", "1", node="8")
    await rooms.scripts.command("ZADD", f"{P}leases", 0, 7)
    with pytest.raises(Refused, match="FENCED"):
        await rooms.publish("a", "1")
    assert await rooms.read("a") is None


async def test_a_known_id_has_the_firsts_offset_while_that_is_kept(rooms: Rooms) -> None:
    await rooms.member("a")
    assert (await rooms.publish("a", "1", "again", id="x")).offsets == [1, 1]
    assert (await rooms.publish("a", "2", id="x")).offsets == [1]
    assert (await rooms.publish("a", *"2345")).offsets == [2, 3, 4, 5]
    assert (await rooms.publish("a", "6", id="x")).offsets == [6]
    assert [len(one) for one in rooms.hear()] == [6, 9, 6]


async def test_a_room_without_history_counts_and_keeps_nothing(rooms: Rooms) -> None:
    assert (await rooms.publish("a", "1", bounds=None)).offsets == [1]
    assert 0 < await rooms.scripts.command("PTTL", f"{P}m:a") <= 60_000
    await rooms.member("a")
    epoch = (await rooms.publish("a", "2", bounds=None)).epoch
    assert await rooms.scripts.command("PTTL", f"{P}m:a") == -1
    assert (await rooms.publish("a", "3", id="x", bounds=None)).offsets == [3]
    assert (await rooms.publish("a", "3", id="x", bounds=None)).offsets == [4]
    assert await rooms.read("a") == (Position(epoch, 4), 5, {})
    assert await rooms.scripts.command("KEYS", f"{P}[hi]:*") == []


async def test_a_room_that_is_to_remember_from_now_on_does(rooms: Rooms) -> None:
    await rooms.member("a")
    epoch = (await rooms.publish("a", "1", bounds=None)).epoch
    await rooms.publish("a", "2")
    assert await rooms.read("a") == (Position(epoch, 2), 2, {2: "2"})
    await rooms.publish("a", "3", bounds=None)
    assert await rooms.read("a") == (Position(epoch, 3), 4, {})
    await rooms.publish("a", "4")
    assert await rooms.read("a") == (Position(epoch, 4), 4, {4: "4"})
    assert await rooms.scripts.command("GET", f"{P}hb") == "1"


@pytest.mark.parametrize("seed", range(8))
async def test_it_keeps_and_tells_what_the_memory_implementation_does(rooms: Rooms, seed: int) -> None:
    """Random turns, ids, purges and bounds of the tenant, against the model that is tested by itself."""
    chance = random.Random(seed)
    epochs = count()
    model: Histories[str] = Histories(3, 250, lambda: str(next(epochs)))
    for _ in range(120):
        room = chance.choice("abcde")
        bounds = HistoryBounds(chance.choice([1, 4, 10]), chance.choice([30, 100]), 600.0, 100)
        match chance.randrange(12):
            case 0:
                await rooms.purge(room, "x")
                model.drop(room)
            case _:
                bodies = ["x" * chance.randrange(1, 40) for _ in range(chance.randrange(1, 6))]
                id = chance.choice(["", "", "one", "two"])
                bodies = bodies[:1] if id else bodies
                found = await rooms.publish(room, *bodies, id=id, bounds=bounds, most=(3, 250))
                history, _ = model.of(room, bounds, 0.0)
                offsets = []
                for body in bodies:
                    known = history.offset_of(id) if id else None
                    if known is None:
                        known = model.append_to(history, body, len(body), 0.0, id or None)
                    offsets.append(known)
                model.trim(room)
                assert found.offsets == offsets
        for name in "abcde":
            there = model.find(name, 0.0)
            kept = await rooms.read(name)
            if there is None:
                assert kept is None or (kept[0].offset, kept[2]) == (0, {}), name
            if kept is not None and there is not None:
                assert kept[0].offset == there.top
                assert kept[2] == {offset: body for offset, _, body in there.after(0, 99)}
                assert kept[1] == there.first
        assert int(await rooms.scripts.command("GET", f"{P}hb") or 0) == model.size_bytes
        assert await rooms.scripts.command("ZRANGE", f"{P}hx", 0, -1) == list(model.names())


async def test_pages_begin_where_there_is_something(rooms: Rooms) -> None:
    await rooms.publish("a", *"12345")

    async def page(offset: int | str, limit: int, reverse: int) -> list[int]:
        found = await rooms.read("a", offset, limit, reverse=reverse)
        assert found is not None
        return list(found[2])

    assert await page("", 2, 0) == [2, 3]
    assert await page("", 2, 1) == [5, 4]
    assert await page(3, 9, 0) == [4, 5]
    assert await page(4, 9, 1) == [3, 2]
    assert await page(5, 9, 0) == await page(2, 9, 1) == await page(0, 9, 1) == await page("", 0, 0) == []
    assert await rooms.read("never") is None


async def test_messages_age_and_a_history_ends_when_nobody_is_there(rooms: Rooms) -> None:
    short = HistoryBounds(9, 999, 2.0, 9)
    await rooms.publish("a", "1", "2", bounds=short)
    await asyncio.sleep(1.6)
    await rooms.publish("a", "3", bounds=short)
    await asyncio.sleep(0.5)
    found = await rooms.read("a", ttl_ms=2000)
    assert found is not None
    assert (found[0].offset, found[1], found[2]) == (3, 3, {3: "3"})
    await rooms.publish("a", "4", bounds=short)
    assert await rooms.scripts.command("XLEN", f"{P}h:a") == 2
    await asyncio.sleep(2.1)
    assert await rooms.read("a", ttl_ms=2000) is None
    assert await rooms.scripts.run("sweep", 100, "x") == 1
    assert sorted(await rooms.scripts.command("KEYS", f"{P}[hmi]*")) == [f"{P}hb", f"{P}hc"]
    assert await rooms.scripts.command("GET", f"{P}hb") == "0"


async def test_with_members_only_messages_age(rooms: Rooms) -> None:
    short = HistoryBounds(9, 999, 0.05, 9)
    await rooms.member("a")
    epoch = (await rooms.publish("a", "1", bounds=short)).epoch
    await asyncio.sleep(0.1)
    assert await rooms.scripts.run("sweep", 100, "x") == 0
    assert await rooms.read("a", ttl_ms=50) == (Position(epoch, 1), 2, {})
    answer = await rooms.publish("a", "2", bounds=short)
    assert (answer.epoch, answer.offsets) == (epoch, [2])
    assert await rooms.scripts.command("GET", f"{P}hb") == "1"


async def test_a_purge_and_an_eviction_tell_members_the_epoch_that_begins(rooms: Rooms) -> None:
    await rooms.member("a")
    await rooms.publish("a", "1")
    assert await rooms.purge("a", "after the purge") == ["OK", 1]
    assert await rooms.purge("a", "after the purge", again=rooms.last) == ["OK", 1]
    assert (await rooms.publish("a", "1")).epoch == "after the purge"
    await rooms.publish("b", "1", most=(1, 1000))
    assert rooms.hear()[1] == ["G", "after the purge", "0"]
    kind, epoch, top = rooms.hear()[3]
    assert (kind, top) == ("G", "0")
    answer = await rooms.publish("a", "1")
    assert (answer.epoch, answer.offsets) == (epoch, [1])
    assert await rooms.purge("never", "x") == ["OK", 0]
    assert await rooms.purge("b", "x") == ["OK", 1]


async def test_a_purge_that_is_asked_again_takes_nothing_away_that_was_published_since(rooms: Rooms) -> None:
    await rooms.scripts.command("ZADD", f"{P}leases", 10**14, 8)
    await rooms.publish("a", "before")
    assert await rooms.purge("a", "second") == ["OK", 1]
    first = rooms.last
    await rooms.publish("a", "since", node="8")
    assert await rooms.purge("a", "second", again=first) == ["OK", 1]
    assert await rooms.read("a") == (Position("second", 1), 1, {1: "since"})
    await rooms.purge("a", "third", node="8")
    assert await rooms.purge("a", "second", again=first) == ["OK", 1]
    found = await rooms.read("a")
    assert found is None or found[0].epoch != "second"


async def test_what_became_of_a_turn_is_known_for_an_hour(rooms: Rooms) -> None:
    await rooms.publish("a", "1", batch=3)
    assert await rooms.scripts.command("PTTL", f"{P}b:7:a") > 3_500_000


async def test_a_node_whose_lease_is_over_purges_nothing(rooms: Rooms) -> None:
    await rooms.publish("a", "1")
    assert await rooms.purge("a", "x", node="8") == ["FENCED"]
    found = await rooms.read("a")
    assert found is not None
    assert found[2] == {1: "1"}


async def test_a_room_begins_with_the_epoch_that_it_is_given(rooms: Rooms) -> None:
    assert await rooms.read("a", begin="first") == (Position("first", 0), 1, {})
    assert await rooms.read("a", begin="second") == (Position("first", 0), 1, {})
    assert 0 < await rooms.scripts.command("PTTL", f"{P}m:a") <= 60_000
    await rooms.member("a")
    assert (await rooms.publish("a", "1")).epoch == "first"
    assert await rooms.scripts.command("PTTL", f"{P}m:a") == -1
    assert [one[0] for one in rooms.hear()] == ["T"]


@pytest.mark.parametrize("bounds", [BOUNDS, None], ids=["kept", "not kept"])
@pytest.mark.parametrize("survives", [0, 1])
async def test_another_replication_id_ends_the_epoch_unless_it_survives(
    rooms: Rooms, survives: int, bounds: HistoryBounds | None
) -> None:
    await rooms.member("a")
    before = await rooms.publish("a", "1", bounds=bounds)
    await rooms.scripts.command("HSET", f"{P}m:a", "r", "another primary's")
    after = await rooms.publish("a", "2", survives=survives, bounds=bounds)
    if survives:
        assert (after.epoch, after.offsets) == (before.epoch, [2])
    else:
        assert (after.epoch != before.epoch, after.offsets) == (True, [1])
        kinds = [(one[0], one[1]) for one in rooms.hear()]
        assert kinds == [("T", before.epoch), ("G", after.epoch), ("T", after.epoch)]


@pytest.mark.parametrize("gone", ["h:a", "m:a", "i:a", "b:7:a", "hx", "hb"])
async def test_keys_that_somebody_deleted_are_never_a_part_that_is_told_as_the_whole(rooms: Rooms, gone: str) -> None:
    await rooms.member("a")
    before = await rooms.publish("a", "1", "2", id="x")
    await rooms.publish("a", "3")
    await rooms.scripts.command("DEL", f"{P}{gone}")
    after = await rooms.publish("a", "4")
    found = await rooms.read("a")
    assert found is not None
    position, first, kept = found
    assert sorted(kept) == list(range(first, position.offset + 1))
    assert (position.epoch == before.epoch) == (gone != "m:a")
    assert after.offsets == [position.offset]


async def test_flushing_scripts_and_everything_goes_on(rooms: Rooms) -> None:
    await rooms.member("a")
    await rooms.publish("a", "1")
    await rooms.scripts.command("SCRIPT", "FLUSH")
    assert (await rooms.publish("a", "2")).offsets == [2]
    await rooms.scripts.command("FLUSHALL")
    with pytest.raises(Refused, match="FENCED"):
        await rooms.publish("a", "3")


async def test_many_rooms_are_looked_at_in_one_call(rooms: Rooms) -> None:
    await rooms.publish("a", "1", "2")
    epoch = (await rooms.publish("b", "1")).epoch
    found = await rooms.scripts.run("positions", 7, 0, "a", "never", "b")
    assert found[2:] == ["2", 1, "0", "", "0", 1, "0", epoch, "1", 1, "0"]
    assert await rooms.scripts.run("positions", 8, 0, "a") == ["FENCED"]


async def test_a_history_ends_when_the_last_node_has_no_members(rooms: Rooms) -> None:
    await rooms.scripts.command("ZADD", f"{P}leases", 10**14, 8)
    assert await rooms.scripts.run("enter", 7, "a", "b") == ["OK", 1, 1]
    assert await rooms.scripts.run("enter", 8, "a") == ["OK", 2]
    assert await rooms.scripts.run("enter", 9, "a") == ["FENCED"]
    await rooms.publish("a", "1")
    await rooms.publish("b", "1", bounds=None)
    await rooms.scripts.run("exit", 7, "a")
    await rooms.scripts.run("exit", 7, "a")
    assert await rooms.scripts.command("ZCARD", f"{P}hz") == 0
    await rooms.scripts.run("exit", 8, "a")
    assert await rooms.scripts.command("ZRANGE", f"{P}hz", 0, -1) == ["a"]
    await rooms.scripts.run("exit", 7, "b")
    assert await rooms.scripts.command("EXISTS", f"{P}m:b") == 0
    assert [one for one in rooms.hear() if one[0] == "N"] == [["N", "1"], ["N", "2"], ["N", "1"]]


async def test_memory_that_is_full_refuses_a_turn_before_it_writes_anything(rooms: Rooms) -> None:
    await rooms.member("a")
    await rooms.publish("a", "1")
    used = await rooms.scripts.command("INFO", "memory")
    bytes_used = int(used.split("used_memory:")[1].split()[0])
    await rooms.scripts.command("CONFIG", "SET", "maxmemory", bytes_used // 2)
    try:
        with pytest.raises(Refused, match="OOM"):
            await rooms.publish("a", "2")
        found = await rooms.read("a")
        assert found is not None
        assert found[2] == {1: "1"}
        assert (await rooms.purge("a", "x"))[0] == "OK"
    finally:
        await rooms.scripts.command("CONFIG", "SET", "maxmemory", 0)
    assert (await rooms.publish("a", "2")).offsets == [1]


async def test_a_replica_refuses_before_it_writes_anything(rooms: Rooms, server: RedisServer) -> None:
    with running_redis() as primary:
        await rooms.scripts.command("REPLICAOF", "127.0.0.1", primary.port)
        try:
            with pytest.raises(Refused, match=r"READONLY|MASTERDOWN|LOADING"):
                await rooms.publish("a", "1")
        finally:
            await rooms.scripts.command("REPLICAOF", "NO", "ONE")
    assert server.port
