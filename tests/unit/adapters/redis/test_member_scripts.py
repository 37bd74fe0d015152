"""Scripts of leases, tickets, idempotency keys and lists, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.redis_nodes import asked, node, operator, until
from tests.redis_scripts import PREFIX, Scripts, frames
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.redis.opening import Opener
from wsprism.adapters.redis.protocol import Refused, Word
from wsprism.ports import Unavailable

P = PREFIX.decode()


@pytest.fixture(params=ENGINES, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


class Tenant:
    """Nodes 7 and 8 live; what room a's channel says is heard."""

    def __init__(self, scripts: Scripts, pushes: list[Any]) -> None:
        self.run = scripts.run
        self.command = scripts.command
        self._pushes = pushes
        self._numbers = 0

    def heard(self) -> list[list[str]]:
        found = [frames(push[2]) for push in self._pushes]
        self._pushes.clear()
        return found

    async def open(self, user: str, sid: str, node: int = 7) -> str:
        self._numbers += 1
        answer = await self.run("open_session", node, self._numbers, user, sid, "", "about", "", 0, 0, "deny")
        assert answer[0] == "OK"
        return str(answer[1])

    async def revoke(self, *arguments: Word) -> Any:
        self._numbers += 1
        return await self.run("revoke", 7, self._numbers, *arguments)

    async def join(self, user: str, sid: str, generation: str, room: str = "a", node: int = 7) -> Any:
        return await self.run("join", node, user, sid, generation, room, 0, 0, 0)


@pytest.fixture
async def tenant(server: RedisServer) -> AsyncIterator[Tenant]:
    pushes: list[Any] = []
    connection = await Opener(parse_address(server.url)).open("test", pushes.append)
    scripts = Scripts(connection)
    await scripts.command("FLUSHALL")
    await scripts.command("ZADD", f"{P}leases", 10**14, 7, 10**14, 8)
    subscribed = asyncio.get_running_loop().create_future()
    connection.subscribe("SSUBSCRIBE", [PREFIX + b"c:a"], subscribed.set_result)
    await subscribed
    yield Tenant(scripts, pushes)
    await connection.close()


async def test_what_a_dead_node_had_goes_in_slices_each_once(tenant: Tenant) -> None:
    for n in range(60):
        generation = await tenant.open(f"u{n}", "1")
        await tenant.join(f"u{n}", "1", generation)
        await tenant.run("put_entries", 7, "a", f"u{n}", "1", "here")
    stays = await tenant.open("stays", "1", node=8)
    await tenant.join("stays", "1", stays, node=8)
    await tenant.run("put_entries", 8, "a", "stays", "1", "here", "u5", "1", "came here")
    await tenant.run("enter", 7, "a", "b")
    tenant.heard()
    assert await tenant.run("reap", 7, 100, 0) == ["LIVES"]
    await tenant.command("ZADD", f"{P}leases", 1, 7)
    slices = [await tenant.run("reap", 7, 100, 0) for _ in range(2)]
    assert slices == [["OK", 100, 0], ["OK", 81, 1]]
    assert await tenant.run("reap", 7, 100, 0) == ["OK", 0, 1]
    gone = [one[2] for one in tenant.heard() if one[0] == "P" and not one[4]]
    assert sorted(gone) == sorted(f"u{n}" for n in range(60) if n != 5)
    assert await tenant.command("HLEN", f"{P}s") == 1
    assert await tenant.run("renew", 7, 1000, 0) == ["FENCED"]
    assert await tenant.command("KEYS", f"{P}n*7") == []


async def test_a_lease_that_is_over_may_be_renewed_until_somebody_cleans_up(tenant: Tenant) -> None:
    await tenant.command("ZADD", f"{P}leases", 1, 7)
    answer = await tenant.run("renew", 8, 5000, 0)
    assert (answer[0], answer[2], answer[4]) == ("OK", 1, "7")
    assert (await tenant.run("renew", 7, 5000, 0))[0] == "OK"
    assert (await tenant.run("renew", 8, 5000, 0))[4] == ""
    assert await tenant.run("renew", 9, 5000, 0) == ["FENCED"]
    assert (await tenant.run("renew", 9, 5000, 1))[2] == 3
    assert 0 < int((await tenant.run("renew", 9, 60_000, 0))[6]) <= 5000, (
        "when the next lease ends, which is not its own"
    )


async def test_a_ticket_lets_one_in(tenant: Tenant) -> None:
    assert await tenant.run("ticket", 7, "hash", "ann", 60_000, 2) == ["OK", 1]
    assert await tenant.run("ticket", 7, "hash", "ann", 60_000, 1) == ["OK", 1], "it is kept already"
    assert await tenant.run("ticket", 8, "other", "bob", 1, 2) == ["OK", 1]
    await asyncio.sleep(0.01)
    assert await tenant.run("ticket", 7, "third", "eve", 60_000, 2) == ["OK", 1]
    assert await tenant.run("ticket", 7, "too many", "eve", 60_000, 2) == ["OK", 0]
    redeemed = await asyncio.gather(*(tenant.run("redeem", 7, number, "hash") for number in (1, 1, 2)))
    assert redeemed == [["OK", "ann"], ["OK", "ann"], ["OK", ""]], "asked again it is the same answer"
    assert await tenant.run("redeem", 7, 3, "other") == ["OK", ""]
    assert await tenant.run("ticket", 7, "fourth", "eve", 60_000, 2) == ["OK", 1]
    assert await tenant.run("ticket", 6, "fifth", "eve", 60_000, 9) == ["FENCED"]
    assert await tenant.run("redeem", 6, 1, "fourth") == ["FENCED"]


async def test_an_idempotency_key_is_one_callers_and_its_answer_everybodys(tenant: Tenant) -> None:
    def claim(node: int, number: int, key: str = "key") -> Any:
        return tenant.run("claim", node, number, key, "digest", 60_000)

    def settle(node: int, number: int, answer: str, key: str = "key") -> Any:
        return tenant.run("settle", node, number, key, answer, 60_000, 10, 1000)

    claims = await asyncio.gather(*(claim(*who) for who in ((7, 1), (7, 1), (8, 1), (7, 2))))
    assert claims == [["OK", "mine"]] * 2 + [["OK", "under way", "digest"]] * 2
    assert await settle(8, 1, "x") == ["OK", 0]
    assert await settle(7, 1, "answer") == ["OK", 1]
    assert await settle(7, 1, "late") == ["OK", 0]
    assert await claim(8, 2) == ["OK", "done", "digest", "answer"]
    assert await claim(7, 3, "failed") == ["OK", "mine"]
    assert await settle(7, 3, "", "failed") == ["OK", 1]
    assert await claim(8, 3, "failed") == ["OK", "mine"]
    assert 0 < await tenant.command("PTTL", f"{P}a:failed") <= 60_000
    await tenant.command("ZREM", f"{P}leases", 8)
    assert await claim(8, 4, "failed") == ["FENCED"]
    assert await claim(7, 4, "failed") == ["OK", "mine"], "who was at it is no more"


async def test_answers_that_are_remembered_are_bounded_in_number_and_in_bytes(tenant: Tenant) -> None:
    async def answer(key: str, body: str, most: int, most_bytes: int, for_ms: int = 60_000) -> None:
        assert await tenant.run("claim", 7, 1, key, "digest", for_ms) == ["OK", "mine"]
        assert await tenant.run("settle", 7, 1, key, body, for_ms, most, most_bytes) == ["OK", 1]

    async def kept() -> list[str]:
        keys = await tenant.command("KEYS", f"{P}a:*")
        return sorted(key.removeprefix(f"{P}a:") for key in keys)

    for number in range(4):
        await answer(str(number), "x" * 10, 3, 1000)
        await asyncio.sleep(0.002)
    assert await kept() == ["1", "2", "3"]
    await answer("4", "x" * 25, 9, 40)
    assert await kept() == ["3", "4"]
    assert await tenant.command("GET", f"{P}ab") == "35"
    await answer("5", "x" * 99, 9, 40)
    assert await kept() == ["5"]
    await answer("short", "x", 9, 1000, for_ms=1000)
    await asyncio.sleep(1.1)
    await answer("6", "x", 9, 1000, for_ms=1000)
    assert (await tenant.command("GET", f"{P}ab"), await tenant.command("ZCARD", f"{P}ak")) == ("1", 1)


def listed(page: list[Any]) -> list[tuple[str, str, list[str]]]:
    """User, sid and rooms of each session of a page."""
    found, at = [], 2
    while at < len(page):
        end = at + 7 + page[at + 6]
        assert page[at + 5] == "about"
        found.append((page[at], page[at + 1], sorted(page[at + 7 : end])))
        at = end
    return found


async def test_lists_are_in_order_and_page_by_page(tenant: Tenant) -> None:
    generations = [await tenant.open(f"u{n % 2}", str(n), node=7 + n % 2) for n in range(5)]
    for n in range(3):
        for room in "abc"[: n + 1]:
            await tenant.join(f"u{n % 2}", str(n), generations[n], room=room, node=7 + n % 2)
    page = await tenant.run("list_sessions", 0, 3, "", "", "", 1)
    assert page[:2] == ["OK", generations[2]]
    assert listed(page) == [("u0", "0", ["a"]), ("u1", "1", ["a", "b"]), ("u0", "2", ["a", "b", "c"])]
    rest = await tenant.run("list_sessions", page[1], 2, "", "", "", 0)
    assert (rest[1], listed(rest)) == ("", [("u1", "3", []), ("u0", "4", [])])
    for which, sids in {
        ("u1", "", ""): ["1", "3"],
        ("u1", "", "b"): ["1"],
        ("", "2", ""): ["2"],
        ("", "", "b"): ["1", "2"],
        ("u0", "2", "b"): ["2"],
        ("u0", "1", ""): [],
        ("nobody", "", ""): [],
        ("", "", "nowhere"): [],
    }.items():
        found = await tenant.run("list_sessions", 0, 10, *which, 0)
        assert (found[1], [sid for _, sid, _ in listed(found)]) == ("", sids), which
    rooms = await tenant.run("list_rooms", 0, 2)
    assert (rooms[1::4], rooms[3::4], rooms[4::4]) == (["a", "b"], [3, 2], [2, 2])
    assert (await tenant.run("list_rooms", rooms[6], 2))[1::4] == ["c"]


@pytest.mark.parametrize("which", [("", "", "a"), ("", "s", ""), ("u", "", "a"), ("", "s", "a")])
async def test_a_page_looks_at_no_more_than_so_many_and_says_where_to_go_on(
    tenant: Tenant, which: tuple[str, str, str]
) -> None:
    user, sid, room = which
    for some in range(0, 1100, 50):
        names = [(user or f"u{n}", sid or f"s{n}") for n in range(some, some + 50)]
        generations = await asyncio.gather(*(tenant.open(*name) for name in names))
        if room:
            given = zip(names, generations, strict=True)
            await asyncio.gather(*(tenant.join(*name, generation, room=room) for name, generation in given))
    behind, found, pages = "0", [], 0
    while behind:
        page = await tenant.run("list_sessions", behind, 300, *which, 0)
        behind, pages = page[1], pages + 1
        found += [(one, other) for one, other, _ in listed(page)]
        assert len(page) <= 2 + 300 * 7
    assert found == [(user or f"u{n}", sid or f"s{n}") for n in range(1100)]
    assert pages <= 6


async def test_an_opening_as_a_generation_that_was_told_already(tenant: Tenant) -> None:
    assert await tenant.run("open_session", 7, 1, "ann", "1", "", "", "100", 0, 0, "deny") == ["OK", "100"]
    assert (await tenant.run("open_session", 7, 2, "ann", "1", "", "", "50", 0, 0, "deny"))[:2] == ["OK", "101"]


async def test_full_memory_refuses_who_comes_and_lets_go_who_goes(tenant: Tenant) -> None:
    ann = await tenant.open("ann", "1")
    await tenant.join("ann", "1", ann)
    await tenant.command("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(Refused, match="OOM"):
            await tenant.open("bob", "1")
        with pytest.raises(Refused, match="OOM"):
            await tenant.join("ann", "1", ann, room="b")
        with pytest.raises(Refused, match="OOM"):
            await tenant.run("ticket", 7, "hash", "ann", 60_000, 2)
        assert (await tenant.run("renew", 7, 5000, 0))[0] == "OK"
        assert await tenant.run("close_session", "ann", "1", ann) == ["OK", 0]
        assert (await tenant.revoke("user", "ann", 10**14, "", 10))[0] == "OK"
    finally:
        await tenant.command("CONFIG", "SET", "maxmemory", 0)


async def test_revocations_are_bounded_and_those_that_are_over_make_room(tenant: Tenant) -> None:
    far = 10**14
    assert await tenant.revoke("user", "a", far, "", 2) == ["OK", 0, 0]
    now = await tenant.command("TIME")
    soon = int(now[0]) * 1000 + int(now[1]) // 1000 + 1000
    assert await tenant.revoke("user", "b", soon, "", 2) == ["OK", 0, 0]
    assert await tenant.revoke("user", "c", far, "", 2) == ["DENIED", "revocations_full"]
    assert await tenant.revoke("user", "a", far + 1, "", 2) == ["OK", 1, 0]
    await asyncio.sleep(1.1)
    assert await tenant.revoke("user", "c", far, "", 2) == ["OK", 0, 0]


async def test_nodes_are_listed_while_they_live_and_one_of_the_same_name_is_another(server: RedisServer) -> None:
    async with operator(server) as other:
        await other.ask("FLUSHALL")
    async with node(server.url, "same") as one:
        one.about = lambda: b'{"name":"same"}'
        async with node(server.url, "same") as two:
            seen = await asked(two.nodes)
            assert [each.incarnation for each in seen] == [one.incarnation, two.incarnation]
            assert all(each.lease_age_ms < 10_000 for each in seen)
            assert one.incarnation != two.incarnation
        seen = await asked(one.nodes)
        assert [each.incarnation for each in seen] == [one.incarnation]
        one._line.abort("gone")  # type: ignore[union-attr]
        await until(lambda: one.figures.connected == 2)
        seen = await asked(one.nodes)
        assert [each.about for each in seen] == [b'{"name":"same"}']
    assert await asked(one.nodes) is Unavailable.AWAY
