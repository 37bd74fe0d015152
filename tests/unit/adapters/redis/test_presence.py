"""Presence over nodes on the real server: who is there, told in one order with the publications."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.redis_nodes import asked, node, operator, until, until_answered
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.node import RedisNode
from wsprism.ports import Batch, Draft, EntryPage, PresenceEntry, Unavailable


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


Key = tuple[str, str]


class Room:
    """A node's room with presence: what it has itself, and its mirror of all that are there."""

    def __init__(self, node: RedisNode, *, at: str = "a") -> None:
        self.broker = node.broker("acme")
        self.at = at
        self.mine: dict[Key, bytes] = {}
        self.mirror: dict[Key, bytes] | None = None
        self.order: list[Any] = []
        self._walk: object = None
        self._told: dict[Key, bytes] = {}
        self.broker.subscribe(at, None, self)

    def subscribed(self) -> None:
        walk = self._walk = object()
        self._told = {}
        asyncio.get_running_loop().call_soon(lambda: self._ask(walk, ""))

    def _ask(self, walk: object, cursor: str) -> None:
        if not cursor:
            for key, entry in self.mine.items():
                self.broker.put_entry(self.at, *key, entry)

        def listed(page: EntryPage | Unavailable) -> None:
            if walk is not self._walk or isinstance(page, Unavailable):
                return
            for user, sid, entry in page.entries:
                self._told[user, sid] = entry
            if page.cursor:
                self._ask(walk, page.cursor)
            else:
                self.mirror = self._told

        self.broker.list_entries(self.at, cursor, listed)

    def lost(self) -> None:
        self._walk = self.mirror = None

    def ordered(self, batch: Batch) -> None:
        self.order += batch.payloads

    def hot(self, frames: Sequence[bytes]) -> None:
        """Nobody sends any."""

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        self.order.append((user, sid, entry))
        if entry is None:
            self._told.pop((user, sid), None)
        else:
            self._told[user, sid] = entry

    def put(self, user: str, sid: str, entry: bytes) -> None:
        self.mine[user, sid] = entry
        self.broker.put_entry(self.at, user, sid, entry)

    def remove(self, user: str, sid: str) -> None:
        self.mine.pop((user, sid), None)
        self.broker.remove_entry(self.at, user, sid)


async def test_every_node_is_told_in_the_order_of_the_room(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        mine.put("ann", "1", b'{"sid":"1"}')
        await asked(mine.broker.publish, "a", [Draft(b"hello")], None)
        mine.put("ann", "1", b'{"sid":"1"}')
        mine.put("ann", "1", b"changed")
        await until(lambda: len(theirs.order) == 3)
        mine.put("ann", "2", b"\xff\x00")
        mine.remove("ann", "1")
        mine.remove("never", "1")
        expected = [
            ("ann", "1", b'{"sid":"1"}'),
            b"hello",
            ("ann", "1", b"changed"),
            ("ann", "2", b"\xff\x00"),
            ("ann", "1", None),
        ]
        await until(lambda: len(mine.order) == len(theirs.order) == 5)
        assert mine.order == theirs.order == expected
        assert mine.mirror == theirs.mirror == {("ann", "2"): b"\xff\x00"}
        theirs.put("bob", "x:1", b"b")
        await until(lambda: len(mine.order) == 6)
        page = await asked(two.broker("acme").list_entries, "a", "")
        assert page == EntryPage([PresenceEntry("ann", "2", b"\xff\x00"), PresenceEntry("bob", "x:1", b"b")], "")


async def test_a_session_that_came_to_another_node_stays_when_the_first_says_that_it_is_gone(
    server: RedisServer,
) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        mine.put("ann", "1", b"here")
        await until(lambda: theirs.mirror == {("ann", "1"): b"here"})
        theirs.put("ann", "1", b"here")
        await asked(theirs.broker.read, "a", None, None)
        mine.remove("ann", "1")
        await asked(mine.broker.publish, "b", [Draft(b"settled")], None)
        await asked(mine.broker.publish, "a", [Draft(b"settled")], None)
        await asked(theirs.broker.read, "a", None, None)
        assert mine.mirror == theirs.mirror == {("ann", "1"): b"here"}
        assert theirs.order == [("ann", "1", b"here"), b"settled"]  # what is the same on another node is no change
        theirs.remove("ann", "1")
        await until(lambda: mine.mirror == theirs.mirror == {})
        async with operator(server) as other:
            assert await other.ask("KEYS", "test:{acme}:p:*") == []
            assert await other.ask("KEYS", "test:{acme}:np:*") == []


async def test_a_crowd_that_comes_at_once_is_a_few_calls(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        await other.ask("CONFIG", "RESETSTAT")
        for n in range(3000):
            mine.put(f"user-{n}", "1", b"x" * 100)
        await until(lambda: theirs.mirror is not None and len(theirs.mirror) == 3000)
        stats = str(await other.ask("INFO", "commandstats"), "ascii")
        calls = next(line for line in stats.splitlines() if line.startswith("cmdstat_evalsha"))
        assert int(calls.split("calls=")[1].split(",")[0]) < 30
        assert mine.broker.waiting_bytes == 0


async def test_what_changed_while_redis_was_away_is_asserted_anew(server: RedisServer) -> None:
    async with node(server.url, "one", answer_s=0.4) as one, node(server.url, "two", answer_s=0.4) as two:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        mine.put("stays", "1", b"s")
        mine.put("goes", "1", b"g")
        theirs.put("theirs", "1", b"t")
        await until(lambda: mine.mirror is not None and len(mine.mirror) == 3)
        server.signal(signal.SIGSTOP)
        mine.put("unknown", "1", b"u")
        await until(lambda: one.away and two.away)
        mine.remove("goes", "1")
        mine.put("comes", "1", b"c")
        assert await asked(mine.broker.list_entries, "a", "") is Unavailable.AWAY
        server.signal(signal.SIGCONT)
        expected = {("stays", "1"): b"s", ("theirs", "1"): b"t", ("unknown", "1"): b"u", ("comes", "1"): b"c"}
        await until(lambda: mine.mirror == theirs.mirror == expected)


async def test_who_has_left_while_redis_was_away_is_told_though_nobody_listens_any_more(server: RedisServer) -> None:
    async with node(server.url, "one", answer_s=0.4) as one, node(server.url, "two", answer_s=0.4) as two:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        mine.put("ann", "1", b"a")
        await until(lambda: theirs.mirror == {("ann", "1"): b"a"})
        server.signal(signal.SIGSTOP)
        await until(lambda: one.away and two.away)
        mine.broker.subscriptions.by_room["a"].close()
        mine.broker.remove_entry("a", "ann", "1")
        server.signal(signal.SIGCONT)
        await until(lambda: theirs.mirror == {})


async def test_keys_that_were_deleted_are_noticed_with_the_next_change_listing_or_look(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Room(one), Room(two)
        await until(lambda: mine.mirror == theirs.mirror == {})
        for n in range(3):
            mine.put("ann", str(n), b"a")
        await until(lambda: theirs.mirror is not None and len(theirs.mirror) == 3)
        await other.ask("DEL", "test:{acme}:p:a")
        theirs.put("bob", "1", b"b")
        expected = {("ann", "0"): b"a", ("ann", "1"): b"a", ("ann", "2"): b"a", ("bob", "1"): b"b"}

        async def there() -> dict[Key, bytes]:
            page = await asked(mine.broker.list_entries, "a", "")
            return {(one.user, one.sid): one.entry for one in page.entries}

        await until(lambda: mine.mirror == theirs.mirror == expected)
        await until_answered(there, lambda found: found == expected)
        await other.ask("DEL", "test:{acme}:p:a")
        await until_answered(there, lambda found: found == expected)
        assert mine.mirror == expected
        await asked(mine.broker.publish, "a", [Draft(b"known")], None)
        await other.ask("DEL", "test:{acme}:p:a")
        for each in (one, two):
            each.broker("acme").look()
        await until_answered(there, lambda found: found == expected)


async def test_a_large_room_is_listed_in_pages(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine = Room(one)
        await until(lambda: mine.mirror == {})
        for n in range(3000):
            mine.put(f"u{n}", "1", b"x")
        await until(lambda: len(mine.order) == 3000)
        late = Room(two)
        await until(lambda: late.mirror is not None)
        assert late.mirror is not None
        assert len(late.mirror) == 3000
        page = await asked(one.broker("acme").list_entries, "a", "")
        assert page.cursor
        assert 300 < len(page.entries) < 600


async def test_a_dead_nodes_entries_go(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        frozen, room = Room(one), Room(two)
        await until(lambda: frozen.mirror == room.mirror == {})
        for n in range(150):
            frozen.put(f"u{n}", "1", b"x")
        await until(lambda: room.mirror is not None and len(room.mirror) == 150)
        one._lease.close()
        await until(lambda: room.mirror == {})
        # It lives, and hears that others took it for dead: what it has it says again.
        frozen.put("u0", "1", b"y")
        await until(lambda: room.mirror == frozen.mirror and room.mirror is not None and len(room.mirror) == 150)


@pytest.mark.parametrize("seed", range(3))
async def test_mirrors_agree_with_what_nodes_have_whatever_is_cut(server: RedisServer, seed: int) -> None:
    chance = random.Random(seed)
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        rooms = [Room(one), Room(two)]
        for _ in range(400):
            at = chance.randrange(2)
            room, user = rooms[at], f"{at}-{chance.randrange(10)}"
            if chance.random() < 0.6:
                room.put(user, "1", b"%d" % chance.randrange(3))
            else:
                room.remove(user, "1")
            if chance.random() < 0.02:
                await other.ask("CLIENT", "KILL", "TYPE", chance.choice(["pubsub", "normal"]))
            if chance.random() < 0.02:
                await other.ask("SCRIPT", "FLUSH")
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        expected = {**rooms[0].mine, **rooms[1].mine}
        await until(lambda: rooms[0].mirror == rooms[1].mirror == expected)
