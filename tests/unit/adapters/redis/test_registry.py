"""RedisRegistry on the real server: exact limits over nodes, who gives way, and what each loss does to it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.redis_nodes import asked, node, operator, until, until_answered
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.leases import Lease
from wsprism.adapters.redis.node import RedisNode
from wsprism.adapters.redis.registry import RedisRegistry
from wsprism.adapters.redis.session_calls import Open
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import Revocable, Revocation
from wsprism.policy.sessions import Admit, EvictReason, OnExceed, SessionPolicy
from wsprism.ports import (
    Answer,
    Departed,
    LostMember,
    LostSession,
    Opened,
    RoomCounts,
    SessionFilter,
    SessionKey,
    SessionOpening,
    Unavailable,
)

ANY = Limits()
FREE = SessionPolicy(0, OnExceed.DENY)
FAR = 4_000_000_000.0
T = "test:{acme}:"


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


class Tenant:
    """A listener that notes what it is told."""

    wants_lost = False

    def __init__(self, node: RedisNode) -> None:
        self.registry: RedisRegistry = node.registry("acme")
        self.registry.listener = self
        self.heard: list[Any] = []
        self.silent = self.is_unsure = False
        self.learned_of: list[str] = []
        self.owed: list[Answer] = []

    def lost(self, what: Sequence[LostMember | LostSession]) -> None:
        self.heard += what

    def end(self, key: SessionKey, reason: str) -> None:
        self.heard.append((key, reason))

    def revoked(self, what: Revocable, name: str, until_s: float) -> None:
        if name != "nobody":
            self.heard.append((what, name) if until_s else "lifted")

    def learned(self, revocations: Sequence[Revocation]) -> None:
        self.learned_of += [one.name for one in revocations]

    def ended(self, key: SessionKey, code: int, reason: str) -> None:
        self.heard.append((key, code, reason))

    def put_out(self, key: SessionKey, room: str) -> None:
        self.heard.append((key, "out of", room))

    def unsure(self) -> None:
        self.is_unsure = True

    def asked(self, body: bytes, answer: Answer | None) -> None:
        if body:
            self.heard.append(body)
        if answer is not None:
            self.owed.append(answer)
            if not self.silent:
                self.owed.pop()(b"heard " + body)

    def fenced(self) -> None:
        self.heard.append("fenced")

    def opening(
        self,
        user: str,
        sid: str | None = None,
        *,
        limits: Limits = ANY,
        policy: SessionPolicy = FREE,
        token_id: str | None = None,
    ) -> asyncio.Future[Any]:
        return asked(self.registry.open, SessionOpening(user, sid, token_id, b"{}"), limits, policy)

    async def open(self, user: str, sid: str | None = None, **options: Any) -> SessionKey:
        opened = await self.opening(user, sid, **options)
        assert isinstance(opened, Opened), opened
        return opened.key

    def join(self, key: SessionKey, room: str, limits: Limits = ANY) -> asyncio.Future[Any]:
        """None: it is in the room."""

        async def outcome() -> Denied | Unavailable | None:
            answer = await joining
            return None if isinstance(answer, RoomCounts) else answer

        joining = asked(self.registry.join, key, room, limits)
        return asyncio.ensure_future(outcome())

    async def settled(self) -> None:
        """Everything that was said before has been carried out."""
        await asked(self.registry.revoke, Revocable.SID, "nobody", 0.0, "")


def reasons(answers: list[Any]) -> Counter[Any]:
    return Counter(one.reason if isinstance(one, Denied) else type(one) for one in answers)


async def test_a_session_is_counted_until_it_is_closed(server: RedisServer) -> None:
    async with node(server.url) as one, operator(server) as other:
        tenant = Tenant(one)
        ann = await tenant.open("ann")
        bob = await tenant.open("bob", "tab-1")
        assert (bob.sid, bob.generation > ann.generation, len(ann.sid)) == ("tab-1", True, 16)
        assert await tenant.join(ann, "a") is None
        assert await other.ask("HLEN", f"{T}s") == 2
        tenant.registry.close(ann)
        tenant.registry.close(bob)
        await tenant.settled()
        left = sorted(str(key, "ascii") for key in await other.ask("KEYS", f"{T}*"))
        assert [key for key in left if not key.startswith((f"{T}o:", f"{T}c"))] == [
            f"{T}gen",
            f"{T}leases",
            f"{T}rc",
        ]


@pytest.mark.parametrize("names", [("ann", "1:b"), ("1:b", "ann"), ("4:user", ""), ("", "x"), ("ü\x00\n", "\u2028 :")])
async def test_names_are_free_text(server: RedisServer, names: tuple[str, str]) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        user, room = names
        key = await mine.open(user, "4:user" + room)
        assert await mine.join(key, room) is None
        assert await mine.join(await mine.open("9:other", user), room) is None
        again = await theirs.open(user, "4:user" + room)
        await until(lambda: mine.heard == [(key, "replaced")])
        assert again.generation > key.generation


async def test_limits_are_exact_whoever_asks_at_once(server: RedisServer) -> None:
    limits = Limits(max_sessions_total=30, max_rooms_total=3, max_users_per_room=7, max_rooms_per_user=2)
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        tenants = [Tenant(one), Tenant(two)]
        opened = await asyncio.gather(
            *(tenant.opening(f"user-{n}", limits=limits) for n in range(30) for tenant in tenants)
        )
        assert reasons(opened) == {Opened: 30, Reason.TENANT_FULL: 30}
        keys = [(tenants[at % 2], one.key) for at, one in enumerate(opened) if isinstance(one, Opened)]
        users = list({key.user: (tenant, key) for tenant, key in keys}.values())
        joins = [tenant.join(key, room, limits) for room in ("a", "b", "c", "d") for tenant, key in users]
        found = reasons(await asyncio.gather(*joins))
        assert found[type(None)] == 21
        assert found[Reason.TOO_MANY_ROOMS] == len(users)
        assert found[Reason.ROOM_FULL] + found[Reason.TOO_MANY_ROOMS_PER_USER] == 3 * len(users) - 21


async def test_one_user_on_two_nodes_is_one_user_of_a_room(server: RedisServer) -> None:
    limits = Limits(max_users_per_room=1, max_rooms_per_user=1)
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        first, second, bob = await mine.open("ann", "1"), await theirs.open("ann", "2"), await theirs.open("bob")
        assert await mine.join(first, "a", limits) is None
        assert await mine.join(first, "a", limits) is None
        assert await theirs.join(second, "a", limits) is None
        denied = [await theirs.join(bob, "a", limits), await theirs.join(second, "b", limits)]
        assert [one.reason for one in denied] == [Reason.ROOM_FULL, Reason.TOO_MANY_ROOMS_PER_USER]
        mine.registry.leave(first, "a")
        await mine.settled()
        assert (await theirs.join(bob, "a", limits)).reason is Reason.ROOM_FULL
        theirs.registry.leave(second, "a")
        assert await theirs.join(second, "b", limits) is None
        assert await theirs.join(bob, "a", limits) is None


async def test_the_oldest_gives_way_wherever_it_is_and_is_told_there(server: RedisServer) -> None:
    policy = SessionPolicy(2, OnExceed.KICK_OLDEST)
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        first = await mine.open("ann", "1", policy=policy)
        second = await mine.open("ann", "2", policy=policy)
        assert await mine.join(first, "a") is None
        third = await theirs.opening("ann", "3", policy=policy)
        assert third.replaced == [(first, "kicked_oldest")]
        await until(lambda: mine.heard == [(first, "kicked_oldest")])
        fourth = await theirs.opening("ann", "2", policy=policy)
        assert fourth.replaced == [(second, "replaced")]
        fifth = await theirs.opening("ann", "4", policy=SessionPolicy(1, OnExceed.KICK_OLDEST))
        assert fifth.replaced == [(third.key, "kicked_oldest"), (fourth.key, "kicked_oldest")]
        assert (await theirs.opening("ann", "5", policy=SessionPolicy(1, OnExceed.DENY))).reason is (
            Reason.TOO_MANY_SESSIONS
        )
        await until(lambda: len(mine.heard) == 2)
        assert theirs.heard == []
        mine.registry.close(first)  # an old session's end removes nothing that came after it
        mine.registry.close(second)
        await mine.settled()
        assert list(theirs.registry.sessions) == [fifth.key]
        denied = await mine.opening("ann", policy=SessionPolicy(1, OnExceed.DENY))
        assert denied.reason is Reason.TOO_MANY_SESSIONS


async def test_sessions_are_ended_from_any_node_and_whoever_has_them_has_done_it_before_the_answer(
    server: RedisServer,
) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        first, second = await mine.open("ann", "1"), await theirs.open("ann", "2")
        assert await mine.join(first, "a") is None
        assert await theirs.join(second, "a") is None
        assert await theirs.join(await theirs.open("bob"), "a") is None
        assert await asked(mine.registry.counts, ["a", "never"]) == [RoomCounts(2, 3), RoomCounts(0, 0)]
        assert await asked(mine.registry.end, [first, second], 4100, "because") == 2
        assert mine.heard == [(first, 4100, "because")]
        assert theirs.heard == [(second, 4100, "because")]
        assert await asked(mine.registry.end, [first, second], 4100, "again") == 0
        again = await theirs.open("ann", "2")
        assert await asked(mine.registry.end, [second], 4100, "an old word") == 0
        assert again in theirs.registry.sessions
        assert await asked(theirs.registry.counts, ["a"]) == [RoomCounts(1, 1)]


async def test_sessions_are_put_out_of_a_room_and_whoever_has_them_has_done_it_before_the_answer(
    server: RedisServer,
) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        keys = [await theirs.open(user) for user in ("ann", "bob", "cora")]
        for key in keys[:2]:
            assert await theirs.join(key, "a") is None
        assert await asked(mine.registry.put_out, keys, "a") == 2
        assert theirs.heard == [(keys[0], "out of", "a"), (keys[1], "out of", "a")]
        assert mine.heard == []
        assert await asked(theirs.registry.counts, ["a"]) == [RoomCounts(0, 0)]
        assert await asked(mine.registry.put_out, keys, "a") == 0


async def test_who_is_put_out_while_it_joins_is_out_once_it_has_joined(server: RedisServer) -> None:
    async with node(server.url, "one") as one, operator(server) as other:
        tenant = Tenant(one)
        ann = await tenant.open("ann")
        joining = tenant.join(ann, "a")
        out = [b"out", b"%d" % one.incarnation, b"ann", ann.sid.encode(), b"%d" % ann.generation, b"a"]
        tenant.registry.control(out)
        answers: list[bytes] = []
        tenant.registry.control([b"ask", b"99", b"1", b"*", b""])
        assert await joining is None
        await tenant.settled()
        assert tenant.heard == [], "it is in the room, so it joined behind that"
        tenant.registry.leave(ann, "a")
        tenant.registry.control(out)
        await until(lambda: tenant.heard == [(ann, "out of", "a")])
        answers = await other.ask("HVALS", f"{T}an:99:1")
        assert answers == [b"heard "]


async def test_all_nodes_answer_and_hear_once_in_one_order_whatever_becomes_of_the_connection(
    server: RedisServer,
) -> None:
    async with node(server.url, "one", answer_s=2.0) as one, node(server.url, "two", answer_s=2.0) as two:
        mine, theirs = Tenant(one), Tenant(two)
        bodies = [b"\x00%d" % n for n in range(20)]
        answers = await asyncio.gather(*(asked(mine.registry.ask, body) for body in bodies))
        assert answers == [[b"heard " + body] * 2 for body in bodies]
        assert mine.heard == theirs.heard == bodies
        server.signal(signal.SIGSTOP)
        asking = asked(mine.registry.ask, b"unknown")
        await until(lambda: one.away and two.away)
        assert await asked(theirs.registry.ask, b"refused") is Unavailable.AWAY
        refused = asyncio.Event()
        theirs.registry.tell(b"refused", refused.set)
        assert not theirs.registry.cast(b"refused")
        await asyncio.wait_for(refused.wait(), 30)
        server.signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            assert await asking == [b"heard unknown"] * 2
        assert len(await asked(mine.registry.ask, b"after")) == 2
        assert mine.heard[20:] == theirs.heard[20:] == [b"unknown", b"after"]


async def test_what_nobody_is_to_answer_is_told_to_all(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Tenant(one), Tenant(two)
        mine.registry.tell(b"kept", lambda: mine.heard.append("refused"))
        assert theirs.registry.cast(b"not kept")
        await until(lambda: sorted(mine.heard) == sorted(theirs.heard) == [b"kept", b"not kept"])
        assert await other.ask("XLEN", f"{T}ctl") == 1
        assert await other.ask("KEYS", f"{T}an:*") == []


async def test_a_node_that_dies_or_is_silent_for_too_long_is_waited_for_no_more(server: RedisServer) -> None:
    async with node(server.url, "one") as one, AsyncExitStack() as stack:
        two = await stack.enter_async_context(node(server.url, "two"))
        mine, theirs = Tenant(one), Tenant(two)
        ann = await theirs.open("ann")
        theirs.registry.control = lambda fields: None  # type: ignore[method-assign]  # noqa: ARG005
        asking = asked(lambda done: mine.registry.ask(b"who is there", done, 0.1))
        assert await asyncio.wait_for(asking, 30) == [b"heard who is there"]
        ending = asked(mine.registry.end, [ann], 4500, "ended")
        await asyncio.sleep(0.7)
        assert not ending.done()
        await stack.aclose()
        assert await asyncio.wait_for(ending, 30) == 1


async def test_an_answer_that_was_said_while_nobody_could_hear_it_is_found(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Tenant(one), Tenant(two)
        theirs.silent = True
        asking = asked(mine.registry.ask, b"x")
        await until(lambda: len(theirs.owed) == 1)
        del one.channels[mine.registry.follower.channel]
        theirs.owed.pop()(b"late")
        ((_, number),) = mine.registry._surveys._surveys
        await until_answered(lambda: other.ask("HLEN", f"{T}an:{one.incarnation}:{number}"), lambda count: count == 2)
        assert sorted(await asyncio.wait_for(asking, 30)) == [b"heard x", b"late"]
        one.channels[mine.registry.follower.channel] = mine.registry.follower


async def test_what_all_are_told_is_bounded_in_bytes_and_in_number(server: RedisServer) -> None:
    async with node(server.url, "one") as one, operator(server) as other:
        tenant = Tenant(one)
        for _ in range(20):
            await asked(tenant.registry.ask, bytes(1_000_000))
        assert await other.ask("XLEN", f"{T}ctl") == 8
        entries = await other.ask("XRANGE", f"{T}ctl", "-", "+")
        assert int(await other.ask("GET", f"{T}cb")) == sum(len(entry[1][1]) for entry in entries) <= 8 << 20
        for _ in range(11):
            await asyncio.gather(*(asked(tenant.registry.ask, b"x") for _ in range(1000)))
        assert 9_900 <= await other.ask("XLEN", f"{T}ctl") <= 10_000
        assert len(tenant.heard) == 11_020


async def test_what_is_said_of_a_session_before_its_opening_is_answered_is_said_again(server: RedisServer) -> None:
    async with node(server.url) as one:
        tenant = Tenant(one)
        openings = [tenant.opening(user) for user in ("ann", "bob")]
        me = b"%d" % one.incarnation
        calls = [line._calls[0] for line in tenant.registry._lines.values()]
        sid = next(call.sid for call in calls if isinstance(call, Open))
        tenant.registry.control([b"kick", me, b"ann", sid.encode(), b"1", b"replaced", b"99"])
        tenant.registry.control([b"revoke", b"user", b"bob", b"4000000000000", b"", b"1"])
        assert tenant.heard == [(Revocable.USER, "bob")]
        opened = [(await one).key for one in openings]
        await until(lambda: (opened[0], "replaced") in tenant.heard)
        await until(lambda: tenant.heard.count((Revocable.USER, "bob")) > 1)
        assert list(tenant.registry.sessions) == [opened[1]]
        assert tenant.registry._early._said == []


async def test_what_is_said_between_a_nodes_lease_and_its_first_look_at_the_stream_is_heard(
    server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack:
        mine = Tenant(await stack.enter_async_context(node(server.url, "one")))
        await asked(mine.registry.ask, b"before")
        hold = Lease.hold

        async def hold_and_say(lease: Lease, *arguments: Any) -> bool:
            held = await hold(lease, *arguments)
            assert await asked(mine.registry.revoke, Revocable.USER, "ann", FAR, "") == 0
            return held

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lease, "hold", hold_and_say)
            theirs = Tenant(await stack.enter_async_context(node(server.url, "two")))
        await until(lambda: theirs.heard == [(Revocable.USER, "ann")])


@pytest.mark.parametrize("seed", range(4))
async def test_it_decides_as_one_process_does(server: RedisServer, seed: int) -> None:
    """Random sessions and rooms, one after the other, against the pure policies on plain sets."""
    chance = random.Random(seed)
    limits = Limits(max_sessions_total=8, max_rooms_total=3, max_users_per_room=2, max_rooms_per_user=2)
    policy = SessionPolicy(2, chance.choice([OnExceed.DENY, OnExceed.KICK_OLDEST]))
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        tenants = [Tenant(one), Tenant(two)]
        live: dict[SessionKey, set[str]] = {}

        def users_of(room: str) -> set[str]:
            return {key.user for key, rooms in live.items() if room in rooms}

        def counts_of(room: str) -> RoomCounts:
            return RoomCounts(len(users_of(room)), sum(room in rooms for rooms in live.values()))

        for _ in range(250):
            tenant = chance.choice(tenants)
            mine = [key for key in live if key in tenant.registry.sessions]
            match chance.randrange(6):
                case 0 | 1:
                    user, sid = chance.choice("abcdef"), chance.choice("123")
                    of_user = {key.sid: key for key in live if key.user == user}
                    verdict = policy.decide(of_user, sid)
                    gone = [of_user[old] for old, _ in verdict.evict] if isinstance(verdict, Admit) else []
                    found = await tenant.opening(user, sid, limits=limits, policy=policy)
                    if not isinstance(verdict, Admit):
                        assert found == verdict.denied
                    elif full := limits.may_open_session(len(live) - len(gone)):
                        assert found == full
                    else:
                        assert [key for key, _ in found.replaced] == gone
                        for key in gone:
                            del live[key]
                        live[found.key] = set()
                case 2 if mine:
                    key = chance.choice(mine)
                    closing, rooms = asked(tenant.registry.close, key, ("v", "w")), ("v", "w")
                    del live[key]
                    sessions = sum(one.user == key.user for one in live)
                    assert await closing == Departed(sessions, {room: counts_of(room) for room in rooms})
                case 3 if mine:
                    key, room = chance.choice(mine), chance.choice("vwxyz")
                    leaving = asked(tenant.registry.leave, key, room)
                    live[key].discard(room)
                    assert await leaving == counts_of(room)
                case 4 | 5 if mine:
                    key, room = chance.choice(mine), chance.choice("vwxyz")
                    rooms_of_user = set().union(*(rooms for one, rooms in live.items() if one.user == key.user))
                    expected = limits.may_join(
                        rooms_total=len(set().union(*live.values())),
                        room_exists=bool(users_of(room)),
                        users_in_room=len(users_of(room)),
                        user_in_room=key.user in users_of(room),
                        rooms_of_user=len(rooms_of_user),
                    )
                    found = await asked(tenant.registry.join, key, room, limits)
                    if expected is None:
                        live[key].add(room)
                    assert found == (counts_of(room) if expected is None else expected)
            for each in tenants:
                await each.settled()
        assert await other.ask("HLEN", f"{T}s") == len(live)
        assert await other.ask("HLEN", f"{T}rooms") == len(set().union(*live.values()))
        for tenant in tenants:
            for key in list(tenant.registry.sessions):
                tenant.registry.close(key)
            await tenant.settled()
        for key in await other.ask("KEYS", f"{T}*"):
            assert not key.removeprefix(T.encode()).startswith((b"s", b"u", b"r:", b"rooms", b"n:", b"b")), key


async def test_a_revoked_user_is_ended_everywhere_and_opens_nowhere(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        await mine.open("ann", "1", token_id="t1")
        await theirs.open("ann", "2")
        await theirs.open("bob", "1", token_id="t2")
        assert await asked(mine.registry.revoke, Revocable.USER, "ann", FAR, "rude") == 2
        await until(lambda: mine.heard == theirs.heard == [(Revocable.USER, "ann")])
        for tenant in (mine, theirs):
            assert (await tenant.opening("ann")).reason is Reason.REVOKED
        assert await asked(mine.registry.revoke, Revocable.TOKEN_ID, "t2", FAR, "") == 1
        assert (await mine.opening("new", token_id="t2")).reason is Reason.REVOKED
        assert await asked(mine.registry.revoke, Revocable.SID, "7", FAR, "") == 0
        assert (await theirs.opening("new", "7")).reason is Reason.REVOKED
        assert await asked(theirs.registry.revoke, Revocable.USER, "ann", 0.0, "") == 1
        assert await asked(theirs.registry.revoke, Revocable.USER, "ann", 0.0, "") == 0
        await mine.open("ann")
        # What comes while an opening has no answer is said again behind it.
        await until(lambda: "lifted" in mine.heard)
        assert list(dict.fromkeys(mine.heard))[1:] == [(Revocable.TOKEN_ID, "t2"), (Revocable.SID, "7"), "lifted"]


async def test_an_opening_whose_outcome_was_unknown_is_counted_once(server: RedisServer) -> None:
    policy = SessionPolicy(1, OnExceed.KICK_OLDEST)
    async with node(server.url, answer_s=2.0) as one, operator(server) as other:
        tenant = Tenant(one)
        first = await tenant.open("ann", "1")
        server.signal(signal.SIGSTOP)
        opening = tenant.opening("ann", "2", policy=policy)
        joining = tenant.join(first, "a")
        await until(lambda: one.away)
        assert not opening.done()
        server.signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            opened = await opening
            assert await joining in (None, Unavailable.AWAY)
        assert opened.replaced == [(first, "kicked_oldest")]
        assert await other.ask("HLEN", f"{T}s") == 1
        assert list(tenant.registry.sessions) == [opened.key]


async def test_what_makes_room_is_made_up_for_when_redis_was_away() -> None:
    with running_redis() as server:
        async with node(server.url, answer_s=2.0) as one:
            tenant = Tenant(one)
            ann, bob = await tenant.open("ann"), await tenant.open("bob")
            assert await tenant.join(bob, "a") is None
            server.signal(signal.SIGSTOP)
            await until(lambda: one.away)
            tenant.registry.close(ann)
            tenant.registry.leave(bob, "a")
            assert await tenant.opening("eve") is Unavailable.AWAY
            assert await tenant.join(bob, "b") is Unavailable.AWAY
            server.signal(signal.SIGCONT)
            await until(lambda: not tenant.registry.away)
            async with operator(server) as other:
                await until_answered(lambda: other.ask("HLEN", f"{T}s"), lambda sessions: sessions == 1)
                await until_answered(lambda: other.ask("HLEN", f"{T}rooms"), lambda rooms: rooms == 0)
            assert tenant.heard == []


async def test_a_dead_nodes_sessions_make_room_and_if_it_lives_it_is_told(server: RedisServer) -> None:
    limits = Limits(max_sessions_total=250)
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        frozen, tenant = Tenant(one), Tenant(two)
        opened = await asyncio.gather(*(frozen.opening(f"u{n}", limits=limits) for n in range(250)))
        await asyncio.gather(*(frozen.join(each.key, "a") for each in opened[:120]))
        assert (await tenant.opening("x", limits=limits)).reason is Reason.TENANT_FULL
        one._lease.close()  # it says no more that it lives
        await until(lambda: two.figures.reaped >= 370)
        assert await other.ask("HLEN", f"{T}s") == 0
        assert await other.ask("HLEN", f"{T}rooms") == 0
        await tenant.open("x", limits=limits)
        assert await frozen.opening("y") is Unavailable.AWAY
        await until(lambda: "fenced" in frozen.heard)
        assert len(frozen.registry.sessions) == 0
        await frozen.open("y", limits=limits)
        assert two.figures.reaped == 370


async def test_who_is_counted_anew_keeps_its_number_and_gives_way_to_newer_ones(server: RedisServer) -> None:
    oldest_goes = SessionPolicy(2, OnExceed.KICK_OLDEST)

    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Tenant(one), Tenant(two)

        def again(tenant: Tenant, key: SessionKey, policy: SessionPolicy = FREE) -> asyncio.Future[Any]:
            opening = SessionOpening(key.user, key.sid, None, b"{}", key.generation, was_there=True)
            return asked(tenant.registry.open, opening, ANY, policy)

        old = await mine.open("ann", "s")
        assert await mine.join(old, "a") is None
        # Itself, as its node had it before: nobody is ended for it, and its memberships are asserted behind it.
        assert await again(mine, old) == Opened(old, [])
        assert await other.ask("HLEN", f"{T}s") == 1
        assert await other.ask("EXISTS", f"{T}r:a") == 0
        new = await theirs.open("ann", "s")
        await until(lambda: mine.heard == [(old, "replaced")])
        assert await again(mine, old) is EvictReason.REPLACED
        assert await again(theirs, new) == Opened(new, [])
        # The newer one comes second.
        theirs.registry.close(new)
        await theirs.settled()
        assert await again(mine, old) == Opened(old, [])
        assert await again(theirs, new) == Opened(new, [(old, "replaced")])
        await until(lambda: mine.heard == [(old, "replaced")] * 2)
        # Of one too many the oldest goes, be it the one that asks.
        first, second, third = [await theirs.open("bob", sid, policy=oldest_goes) for sid in "123"]
        assert await again(mine, first, oldest_goes) is EvictReason.KICKED_OLDEST
        theirs.registry.close(second)
        theirs.registry.close(third)
        await theirs.settled()
        assert await again(mine, first, oldest_goes) == Opened(first, [])
        assert await again(theirs, third, oldest_goes) == Opened(third, [])
        assert await again(theirs, second, oldest_goes) == Opened(second, [(first, "kicked_oldest")])
        # A Redis that has lost everything gives no number twice.
        await other.ask("DEL", f"{T}gen", f"{T}s", f"{T}so", f"{T}us:ann", f"{T}us:bob")
        assert await again(theirs, third) == Opened(third, [])
        newer = await theirs.open("cyd", "1")
        assert newer.generation == third.generation + 1
        taken = await again(mine, SessionKey("dan", "1", newer.generation))
        assert taken.key.generation == newer.generation + 1


async def test_a_primary_that_is_another_one_may_lack_sessions_and_all_are_counted_anew() -> None:
    with running_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        async with node(server.url) as one, operator(server) as other:
            tenant = Tenant(one)
            ann = await tenant.open("ann")
            await tenant.join(ann, "a")
            before = one.incarnation
            await other.ask("DEL", f"{T}us:ann", f"{T}r:a")  # as if it had never reached the replica
            await other.ask("REPLICAOF", "127.0.0.1", 1)
            assert await tenant.opening("bob") is Unavailable.AWAY
            await other.ask("REPLICAOF", "NO", "ONE")
            await until(lambda: "fenced" in tenant.heard)
            assert one.incarnation != before
            assert (await tenant.open("ann", ann.sid)).generation > ann.generation
            await until_answered(lambda: other.ask("ZCARD", f"{T}leases"), lambda nodes: nodes == 1)
            assert await other.ask("HLEN", f"{T}s") == 1
            assert one.figures.reaped == 0


async def test_what_was_said_while_a_node_could_not_hear_is_read_and_a_gap_is_looked_into(
    server: RedisServer,
) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two, operator(server) as other:
        mine, theirs = Tenant(one), Tenant(two)
        keys = [await mine.open(f"u{n}", "1") for n in range(3)]
        await other.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: not (one.away or two.away))
        await theirs.open("u0", "1")
        await until(lambda: mine.heard == [(keys[0], "replaced")])
        # Something that nobody ever heard, and can read no more.
        await theirs.settled()
        one.channels.pop(mine.registry.follower.channel)
        await theirs.open("u1", "1")
        await theirs.settled()
        await other.ask("DEL", f"{T}ctl")
        one.channels[mine.registry.follower.channel] = mine.registry.follower
        theirs.registry.tell(b"x", lambda: None)
        await until(lambda: mine.heard[1:] == [(keys[1], "replaced")])
        assert list(mine.registry.sessions) == [keys[2]]
        assert mine.is_unsure
        assert await mine.join(keys[2], "a") is None
        members = [(keys[2], "b"), (keys[2], "a"), (keys[0], "a"), (keys[2]._replace(generation=99), "a")]
        assert await asked(mine.registry.not_in, members) == [0, 2, 3]


async def test_a_node_that_comes_later_hears_of_all_revocations_that_are_in_force(server: RedisServer) -> None:
    async with node(server.url, "one") as one, AsyncExitStack() as stack:
        mine = Tenant(one)
        names = [f"u{n}" for n in range(1100)]
        await asyncio.gather(*(asked(mine.registry.revoke, Revocable.USER, name, FAR, "spam") for name in names))
        await asked(mine.registry.revoke, Revocable.SID, "s", FAR, "")
        await asked(mine.registry.revoke, Revocable.USER, "u7", 0.0, "")
        theirs = Tenant(await stack.enter_async_context(node(server.url, "two")))
        await until(lambda: len(theirs.learned_of) == 1100)
        assert theirs.learned_of == [name for name in names if name != "u7"] + ["s"]
        page = await asked(theirs.registry.list_revocations, 0, 1)
        assert page.items == [Revocation(Revocable.USER, "u0", FAR, "spam")]
        page = await asked(theirs.registry.list_revocations, page.behind, 2000)
        assert (len(page.items), page.items[-1].what, page.behind) == (1099, Revocable.SID, None)


async def test_what_is_said_of_a_session_may_change_while_it_is_counted(server: RedisServer) -> None:
    async with node(server.url, "one") as one:
        tenant = Tenant(one)
        ann, bob = await tenant.open("ann"), await tenant.open("bob")
        assert await tenant.join(ann, "a") is None
        tenant.registry.describe(ann, b'{"metadata": {}}')
        tenant.registry.close(bob)
        tenant.registry.describe(bob, b"gone")
        await tenant.settled()
        page = await asked(lambda done: tenant.registry.list_sessions(SessionFilter(), 0, 10, done, with_rooms=True))
        ((key, opened_s, about, rooms),) = [(one.key, one.opened_s, one.about, one.rooms) for one in page.items]
        assert (key, about, rooms, page.behind) == (ann, b'{"metadata": {}}', ["a"], None)
        assert abs(opened_s - time.time()) < 60
        rooms_page = await asked(tenant.registry.list_rooms, 0, 10)
        assert [(one.room, one.counts) for one in rooms_page.items] == [("a", RoomCounts(1, 1))]


async def test_a_revocation_is_answered_when_it_is_in_force_where_sessions_were(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        mine, theirs = Tenant(one), Tenant(two)
        await theirs.open("ann")
        theirs.silent = True
        revoking = asked(mine.registry.revoke, Revocable.USER, "ann", FAR, "")
        await until(lambda: len(theirs.owed) == 1)
        assert theirs.heard == [(Revocable.USER, "ann")]
        assert not revoking.done()
        theirs.owed.pop()(b"")
        assert await asyncio.wait_for(revoking, 30) == 1
        assert await asked(mine.registry.revoke, Revocable.USER, "nobody's", FAR, "") == 0


async def test_what_is_left_is_unknown_while_redis_is_away_and_told_once(server: RedisServer) -> None:
    async with node(server.url) as one:
        tenant = Tenant(one)
        ann, bob, cora = [await tenant.open(name) for name in ("ann", "bob", "cora")]
        assert await tenant.join(cora, "a") is None
        server.signal(signal.SIGSTOP)
        under_way = asked(tenant.registry.close, ann, ("a",))
        behind = asked(tenant.registry.leave, cora, "a")
        assert await asyncio.wait_for(under_way, 20) is None
        assert await asyncio.wait_for(behind, 20) is None
        assert await asyncio.wait_for(asked(tenant.registry.close, bob, ()), 20) is None
        server.signal(signal.SIGCONT)
        await until(lambda: not one.away, 20)
        await tenant.settled()
        assert await asked(tenant.registry.counts, ["a"]) == [RoomCounts(0, 0)]
        assert await asked(tenant.registry.close, cora, ()) == Departed(0, {})


async def test_whoever_cleans_up_after_a_dead_node_is_told_who_is_lost_and_what_is_left(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "two") as two:
        dead, lives = Tenant(one), Tenant(two)
        lives.wants_lost = True
        gone = await dead.open("ann", "phone")
        others = [await dead.open(f"user-{number}") for number in range(120)]
        stays = await lives.open("ann", "tab")
        for tenant, key, room in ((dead, gone, "a"), (dead, gone, "b"), (lives, stays, "a")):
            assert await tenant.join(key, room) is None
        await asyncio.gather(*(dead.join(key, "c") for key in others))
        one._lease.close()
        await until(lambda: sum(isinstance(what, LostSession) for what in lives.heard) == 121, 30)
        of_ann = [what for what in lives.heard if what.key == gone]
        members = {what.room: what.counts for what in of_ann if isinstance(what, LostMember)}
        assert members == {"a": RoomCounts(1, 1), "b": RoomCounts(0, 0)}
        last = of_ann[-1]
        assert isinstance(last, LostSession)
        assert (last.sessions_left, last.about, last.lasted_ms >= 0) == (1, b"{}", True)
        in_c = [what.counts.sessions for what in lives.heard if isinstance(what, LostMember) and what.room == "c"]
        assert in_c == list(range(119, -1, -1))
        for key in others:
            here = [type(what) for what in lives.heard if what.key == key]
            assert here == [LostMember, LostSession]
