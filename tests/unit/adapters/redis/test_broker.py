"""RedisNode and RedisBroker on the real server: two nodes, one order, and what each loss does to it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.redis_nodes import LEASE_MS, asked, node, operator, until
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.broker import RedisBroker
from wsprism.errors import OperatorError
from wsprism.policy.history import HistoryBounds, Position
from wsprism.ports import Batch, Draft, Ordered, Unavailable, Window

BOUNDS = HistoryBounds(max_messages=1000, max_bytes=100_000, ttl_s=60.0, recover_max_messages=1000)


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


class Room:
    """A listener that notes what it is told."""

    def __init__(self, broker: RedisBroker, name: str = "a", bounds: HistoryBounds | None = BOUNDS) -> None:
        self.broker = broker
        self.name = name
        self.bounds = bounds
        self.told: list[Any] = []
        self._changed = asyncio.Event()
        self.subscription = broker.subscribe(name, bounds, self)

    def _note(self, what: Any) -> None:
        self.told.append(what)
        self._changed.set()

    def subscribed(self) -> None:
        self._note("subscribed")

    def lost(self) -> None:
        self._note("lost")

    def ordered(self, batch: Batch) -> None:
        self._note(batch)

    def hot(self, frames: Sequence[bytes]) -> None:
        self._note(list(frames))

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        """Presence has tests of its own."""

    async def until(self, holds: Callable[[], bool], within_s: float = 30.0) -> None:
        async with asyncio.timeout(within_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, *what: Any) -> None:
        await self.until(lambda: len(self.told) >= len(what))
        assert self.told == list(what)
        self.told.clear()

    @property
    def payloads(self) -> list[bytes]:
        return [one for batch in self.told if isinstance(batch, Batch) for one in batch.payloads]


def publish(broker: RedisBroker, *payloads: bytes, room: str = "a", id: str | None = None) -> asyncio.Future[Any]:
    return asked(broker.publish, room, [Draft(one, id) for one in payloads], BOUNDS)


async def read(broker: RedisBroker, since: Position | None = None, room: str = "a") -> Window:
    window = await asked(broker.read, room, since, BOUNDS)
    assert isinstance(window, Window)
    return window


async def test_two_nodes_hear_the_same_order_their_own_publications_included(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.tcp_url, "two") as two:
        rooms = [Room(each.broker("acme")) for each in (one, two)]
        for room in rooms:
            await room.hears("subscribed")
        answers = [publish(room.broker, b"%d-%d" % (at, n)) for n in range(50) for at, room in enumerate(rooms)]
        ordered = await asyncio.gather(*answers)
        assert sorted(one.offsets[0] for one in ordered) == list(range(1, 101))
        for room in rooms:
            await room.until(lambda room=room: len(room.payloads) == 100)  # type: ignore[misc]
        assert rooms[0].payloads == rooms[1].payloads
        assert [batch.first for batch in rooms[0].told] == list(range(1, 101))
        for at in (0, 1):
            assert [p for p in rooms[0].payloads if p[:1] == b"%d" % at] == [b"%d-%d" % (at, n) for n in range(50)]
        window = await read(rooms[0].broker)
        assert [item.payload for item in window.items] == rooms[1].payloads
        assert (window.top, window.epoch) == (100, ordered[0].epoch)
        assert 0 <= window.items[0].age_s < 30


async def test_a_turn_of_several_and_known_ids(server: RedisServer) -> None:
    async with node(server.url) as one:
        broker = one.broker("acme")
        first = await publish(broker, b"1", id="x")
        assert isinstance(first, Ordered)
        second = await asked(broker.publish, "a", [Draft(b"1", "x"), Draft(b"2"), Draft(b"3")], BOUNDS)
        assert (second.first, list(second.offsets)) == (2, [1, 2, 3])
        window = await read(broker, Position(first.epoch, 1))
        assert [(item.offset, item.payload) for item in window.items] == [(2, b"2"), (3, b"3")]
        assert len((await read(broker, Position("other", 2))).items) == 3


async def test_a_room_without_history_counts(server: RedisServer) -> None:
    async with node(server.url) as one:
        broker = one.broker("acme")
        room = Room(broker, bounds=None)
        await room.hears("subscribed")
        window = await asked(broker.read, "a", None, None)
        assert (window.top, list(window.items)) == (0, [])
        answer = await asked(broker.publish, "a", [Draft(b"1"), Draft(b"2")], None)
        assert answer == Ordered(window.epoch, 1, [1, 2])
        await room.hears(Batch(window.epoch, 1, [b"1", b"2"]))


async def test_hot_frames_go_to_the_others_and_it_is_known_whether_there_are_any(server: RedisServer) -> None:
    async with node(server.url, "one") as one:
        mine = Room(one.broker("acme"))
        await mine.hears("subscribed")
        assert not mine.subscription.others
        async with node(server.url, "two") as two:
            theirs = Room(two.broker("acme"))
            await theirs.hears("subscribed")
            await asked(one.broker("acme").read, "a", None, BOUNDS)
            assert mine.subscription.others
            assert theirs.subscription.others
            one.broker("acme").publish_hot("a", [b"\x00x", b"y"])
            await theirs.hears([b"\x00x", b"y"])
            theirs.subscription.close()
            theirs.subscription.close()
            await asked(two.broker("acme").read, "a", None, BOUNDS)
            await asked(one.broker("acme").read, "a", None, BOUNDS)
            assert not mine.subscription.others
            await publish(one.broker("acme"), b"1")
            assert theirs.told == []
        assert mine.payloads == [b"1"]


async def test_a_room_that_was_closed_may_be_subscribed_again_at_once(server: RedisServer) -> None:
    async with node(server.url) as one:
        broker = one.broker("acme")
        before = Room(broker)
        before.subscription.close()
        again = Room(broker)
        await again.hears("subscribed")
        again.subscription.close()
        third = Room(broker)
        await third.hears("subscribed")
        answer = await publish(broker, b"1")
        await third.hears(Batch(answer.epoch, 1, [b"1"]))
        assert (before.told, again.told) == ([], [])


async def test_a_purge_begins_anew_and_tells_it(server: RedisServer) -> None:
    async with node(server.url) as one:
        broker = one.broker("acme")
        room = Room(broker)
        await room.hears("subscribed")
        answers = [publish(broker, b"1"), asked(broker.purge, "a", BOUNDS), publish(broker, b"2")]
        first, purged, second = await asyncio.gather(*answers)
        assert isinstance(purged, Position)
        assert purged.epoch != first.epoch
        assert second == Ordered(purged.epoch, 1, [1])
        await room.hears(Batch(first.epoch, 1, [b"1"]), Batch(purged.epoch, 1, ()), Batch(purged.epoch, 1, [b"2"]))
        assert await asked(broker.purge, "never", BOUNDS) == Position("", 0)


@pytest.mark.parametrize("which", ["line", "desk"])
async def test_a_killed_connection_is_told_and_replaced_and_nothing_is_lost_in_silence(
    server: RedisServer, which: str
) -> None:
    async with node(server.url) as one, operator(server) as other:
        broker = one.broker("acme")
        room = Room(broker)
        await room.hears("subscribed")
        await publish(broker, b"1")
        told = str(await other.ask("CLIENT", "LIST"), "ascii")
        victim = next(line for line in told.splitlines() if f"name=test-n-{which}" in line)
        room.told.clear()
        answers = [publish(broker, b"%d" % n) for n in range(2, 20)]
        await other.ask("CLIENT", "KILL", "ID", victim.split()[0].removeprefix("id="))
        done = await asyncio.gather(*answers)
        await room.until(lambda: room.told[-1:] == ["subscribed"])
        assert "lost" in room.told
        published = [b"1"] + [b"%d" % n for n, one in enumerate(done, 2) if isinstance(one, Ordered)]
        window = await read(broker)
        assert [item.payload for item in window.items] == published
        offsets = [one.offsets[0] for one in done if isinstance(one, Ordered)]
        assert offsets == list(range(2, len(offsets) + 2))
        assert one.figures.lost == 1


async def test_a_turn_whose_outcome_was_unknown_is_in_the_log_once(server: RedisServer) -> None:
    """Redis stands still while turns are under way, is lost for that, and carries them out when it goes on."""
    async with node(server.url, answer_s=2.0) as one:
        broker = one.broker("acme")
        epoch = (await publish(broker, b"0")).epoch
        server.signal(signal.SIGSTOP)
        turns = [publish(broker, b"a"), publish(broker, b"b"), publish(broker, b"c", room="b")]
        await until(lambda: one.away)
        assert [turn.done() for turn in turns] == [False, True, False]
        assert turns[1].result() is Unavailable.AWAY
        assert await publish(broker, b"while it is away") is Unavailable.AWAY
        server.signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            assert await turns[0] == Ordered(epoch, 2, [2])
            assert (await turns[2]).offsets == [1]
        assert [item.payload for item in (await read(broker)).items] == [b"0", b"a"]
        assert broker.waiting_bytes == 0


async def test_a_turn_that_was_under_way_when_redis_lost_everything_is_refused_and_never_carried_out(
    server: RedisServer,
) -> None:
    async with node(server.url, answer_s=2.0) as one:
        broker = one.broker("acme")
        await publish(broker, b"0")
        server.signal(signal.SIGSTOP)
        turn = publish(broker, b"a")
        await until(lambda: one.away)
        server.kill()
        server.start()
        async with asyncio.timeout(30):
            assert await turn is Unavailable.AWAY
        assert isinstance(await publish(broker, b"b"), Ordered)
        assert (one.figures.connected, one.figures.fenced) == (2, 0)
        assert [item.payload for item in (await read(broker)).items] == [b"b"]


async def test_a_redis_that_was_killed_and_lost_everything_is_a_new_epoch(server: RedisServer) -> None:
    async with node(server.url) as one:
        broker = one.broker("acme")
        room = Room(broker)
        await room.hears("subscribed")
        first = await publish(broker, b"1")
        room.told.clear()
        server.kill()
        await room.hears("lost")
        assert one.away
        assert await asked(broker.read, "a", None, BOUNDS) is Unavailable.AWAY
        late = Room(broker, "late")
        await late.hears("lost")
        server.start()
        await room.hears("subscribed")
        await late.hears("subscribed")
        second = await publish(broker, b"2")
        assert (second.first, second.epoch != first.epoch) == (1, True)
        await room.hears(Batch(second.epoch, 1, [b"2"]))


async def test_with_aof_an_epoch_that_survives_goes_on_and_another_does_not() -> None:
    with running_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        async with (
            node(server.url, "one", epoch_survives_failover=True) as keeps,
            node(server.url, "two") as careful,
        ):
            mine, theirs = keeps.broker("acme"), careful.broker("other")
            await until(lambda: not theirs.away)
            first = await publish(mine, b"1")
            before = await publish(theirs, b"1")
            server.kill()
            server.start()
            await until(lambda: keeps.figures.connected == careful.figures.connected == 2)
            second = await publish(mine, b"2")
            assert (second.epoch, second.first) == (first.epoch, 2)
            after = await publish(theirs, b"2")
            assert (after.epoch != before.epoch, after.first) == (True, 1)


@pytest.mark.parametrize("what", ["FLUSHALL", "DEL"])
async def test_what_an_operator_deletes_is_noticed(server: RedisServer, what: str) -> None:
    async with node(server.url) as one, operator(server) as other:
        broker = one.broker("acme")
        room = Room(broker)
        await room.hears("subscribed")
        await read(broker)
        first = await publish(broker, b"1")
        await room.hears(Batch(first.epoch, 1, [b"1"]))
        await other.ask(*(["FLUSHALL"] if what == "FLUSHALL" else ["DEL", "test:{acme}:m:a", "test:{acme}:h:a"]))
        broker.subscriptions.look()
        await room.hears("lost", "subscribed")
        assert one.figures.fenced == (what == "FLUSHALL")
        second = await publish(broker, b"2")
        assert (second.first, second.epoch != first.epoch) == (1, True)


async def test_a_look_finds_what_was_never_heard(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        room = Room(one.broker("acme"))
        await room.hears("subscribed")
        await read(one.broker("acme"))
        await publish(two.broker("acme"), b"1")
        await room.until(lambda: len(room.payloads) == 1)
        one.broker("acme").subscriptions.look()
        await read(one.broker("acme"))
        assert len(room.told) == 1
        await other.ask("HINCRBY", "test:{acme}:m:a", "s", 1)
        one.broker("acme").subscriptions.look()
        await room.until(lambda: room.told[1:] == ["lost", "subscribed"])


async def test_a_backlog_is_refused_and_bounded(server: RedisServer) -> None:
    async with node(server.url, answer_s=5.0) as one:
        broker = one.broker("acme")
        server.signal(signal.SIGSTOP)
        big = bytes(250_000)
        turns = [publish(broker, big, room=f"r{n}") for n in range(30)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = [turn for turn in turns if turn.done() and turn.result() is Unavailable.OVERLOADED]
        assert len(refused) == 30 - 4 * 1024 * 1024 // 250_000
        server.signal(signal.SIGCONT)
        await asyncio.gather(*turns)
        assert broker.waiting_bytes == 0


async def test_memory_that_is_full_is_unavailable_and_passes(server: RedisServer) -> None:
    async with node(server.url) as one, operator(server) as other:
        broker = one.broker("acme")
        await other.ask("CONFIG", "SET", "maxmemory", "1")
        assert await publish(broker, b"1") is Unavailable.AWAY
        await other.ask("CONFIG", "SET", "maxmemory", "0")
        assert isinstance(await publish(broker, b"1"), Ordered)


async def test_a_primary_that_becomes_a_replica_is_left(server: RedisServer) -> None:
    with running_redis() as primary:
        async with node(server.url) as one, operator(server) as other:
            broker = one.broker("acme")
            await other.ask("REPLICAOF", "127.0.0.1", str(primary.port))
            answers = {await publish(broker, b"1") for _ in range(3)}
            assert answers == {Unavailable.AWAY}
            await until(lambda: one.away)
            await other.ask("REPLICAOF", "NO", "ONE")
            await until(lambda: not broker.away)
            assert isinstance(await publish(broker, b"1"), Ordered)


async def test_garbage_in_a_rooms_channel_is_nobodys_business(server: RedisServer) -> None:
    async with node(server.url) as one, operator(server) as other:
        room = Room(one.broker("acme"))
        await room.hears("subscribed")
        for garbage in (b"", b"x", b"\xff\xff\xff\xffT", b"\x00\x00\x00\x01T", b"\x00\x00\x00\x01T" + b"\x00" * 16):
            await other.ask("SPUBLISH", "test:{acme}:c:a", garbage)
        await publish(one.broker("acme"), b"1")
        assert room.payloads == [b"1"]


async def test_many_rooms_come_back_in_slices(server: RedisServer) -> None:
    async with node(server.url) as one, operator(server) as other:
        rooms = [Room(one.broker("acme"), f"room-{n}") for n in range(1000)]
        for room in rooms:
            await room.hears("subscribed")
        await other.ask("CLIENT", "KILL", "TYPE", "pubsub")
        for room in rooms:
            await room.hears("lost", "subscribed")


async def test_a_node_that_ends_leaves_nothing_behind(server: RedisServer) -> None:
    async with operator(server) as other:
        async with node(server.url) as one:
            room = Room(one.broker("acme"), bounds=None)
            await room.hears("subscribed")
            await asked(one.broker("acme").publish, "a", [Draft(b"1")], None)
        left = {str(key, "ascii") for key in await other.ask("KEYS", "*")}
        assert left == {f"test:{{acme}}:b:{one.incarnation}:a"}


async def test_a_node_whose_process_is_gone_is_cleaned_up_after_its_lease_and_told_to_begin_anew(
    server: RedisServer,
) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        frozen, room = Room(one.broker("acme")), Room(two.broker("acme"))
        await frozen.hears("subscribed")
        await room.hears("subscribed")
        await read(two.broker("acme"))
        assert room.subscription.others
        assert one.lease_age_s is not None
        one._lease.close()  # it says no more that it lives
        ends_s = time.monotonic() + LEASE_MS / 1000 - one.lease_age_s
        await until(lambda: one.isolated)
        await until(lambda: not room.subscription.others)
        assert time.monotonic() >= ends_s
        assert one.lease_age_s >= LEASE_MS / 1000
        assert two.figures.reaped == 1
        assert await publish(one.broker("acme"), b"1") is Unavailable.AWAY
        await frozen.hears("lost", "subscribed")
        assert one.figures.fenced == 1
        assert isinstance(await publish(one.broker("acme"), b"1"), Ordered)


async def test_an_outage_of_redis_is_nobodys_death(server: RedisServer) -> None:
    with running_redis("--appendonly", "yes", "--appendfsync", "always") as durable:
        async with node(durable.url, "one") as one, node(durable.url, "two") as two:
            durable.kill()
            await asyncio.sleep(LEASE_MS / 1000 * 1.2)
            assert one.isolated
            durable.start()
            await until(lambda: not (one.away or two.away))
            await asyncio.sleep(LEASE_MS / 1000)
            assert not one.isolated
            assert one.figures.reaped == two.figures.reaped == one.figures.fenced == two.figures.fenced == 0
    assert server.port


async def test_two_nodes_are_never_taken_for_one_not_even_when_redis_has_lost_everything(server: RedisServer) -> None:
    with running_redis() as forgetful:
        async with node(forgetful.url, "same") as one, node(forgetful.url, "same") as two:
            before = {one.incarnation, two.incarnation}
            forgetful.kill()
            forgetful.start()
            await until(lambda: one.figures.connected == two.figures.connected == 2)
            assert len(before | {one.incarnation, two.incarnation}) == 4
    assert server.port


async def test_a_tenant_that_is_removed_and_comes_again_is_not_answered_with_what_it_did_before(
    server: RedisServer,
) -> None:
    async with node(server.url) as one:
        await publish(one.broker("acme"), b"1")
        one.drop("acme")
        await until(lambda: not one._lease._reaping)
        broker = one.broker("acme")
        await until(lambda: broker.connection is not None)
        assert await publish(broker, b"2") == Ordered((await read(broker)).epoch, 2, [2])


async def test_whoever_goes_on_from_within_an_answer_gets_its_own_answers(server: RedisServer) -> None:
    answers: list[Any] = []
    async with node(server.url) as one:
        broker = one.broker("acme")

        def goes_on(answer: Any) -> None:
            answers.append(answer)
            if len(answers) < 50:
                broker.publish("chain", [Draft(b"%d" % len(answers))], BOUNDS, goes_on)

        broker.publish("chain", [Draft(b"0")], BOUNDS, goes_on)
        await until(lambda: len(answers) == 50)
        assert [one.offsets for one in answers] == [[n] for n in range(1, 51)]
        assert one.figures.lost == 0
        window = await read(broker, room="chain")
        assert [item.payload for item in window.items] == [b"%d" % n for n in range(50)]


async def test_a_history_is_read_whole_though_redis_keeps_no_large_answer_for_anybody(server: RedisServer) -> None:
    large = HistoryBounds(max_messages=1000, max_bytes=64 * 1024 * 1024, ttl_s=600.0, recover_max_messages=1000)
    with running_redis("--client-output-buffer-limit", "pubsub 1mb 0 0") as strict:
        async with node(strict.url, "one", answer_s=3.0) as one, node(strict.url, "two", answer_s=3.0) as two:
            for n in range(100):
                await asked(two.broker("acme").publish, "a", [Draft(b"%d" % n + bytes(30_000))], large)
            room = Room(one.broker("acme"))
            await room.hears("subscribed")
            window = await asked(one.broker("acme").read, "a", None, large)
            assert [item.offset for item in window.items] == list(range(1, 101))
            behind = await asked(one.broker("acme").read, "a", Position(window.epoch, 90), large)
            assert [item.offset for item in behind.items] == list(range(91, 101))
            other = await asked(one.broker("acme").read, "a", Position("another", 90), large)
            assert len(other.items) == 100
            assert one.figures.lost == 0
    assert server.port


async def test_a_connection_that_is_lost_again_and_again_is_not_hammered_for(server: RedisServer) -> None:
    async with node(server.url) as one, operator(server) as other:
        began = time.monotonic()
        for times in range(2, 8):
            await other.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await until(lambda times=times: one.figures.connected == times)  # type: ignore[misc]
        assert time.monotonic() - began > 0.7


async def test_redis_that_is_away_at_the_start_is_waited_for_and_one_that_cannot_be_used_is_not() -> None:
    server = RedisServer("--requirepass", "secret")
    try:
        async with node(f"unix://:secret@{server.path}") as one:
            assert one.away
            room = Room(one.broker("acme"))
            await room.hears("lost")
            server.start()
            await room.hears("subscribed")
        with pytest.raises(OperatorError, match="asks for a password"):
            async with node(server.url):
                pass
    finally:
        server.close()


async def test_tenants_come_and_go(server: RedisServer) -> None:
    async with node(server.url) as one:
        late = one.broker("late")
        assert late.away
        room = Room(late)
        await room.hears("lost", "subscribed")
        assert isinstance(await publish(late, b"1"), Ordered)
        one.drop("late")
        assert await publish(late, b"2") is Unavailable.AWAY
