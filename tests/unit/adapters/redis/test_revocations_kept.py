"""A Redis that has lost its data is told who is locked out, by the nodes that know it, before anybody gets in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.redis_nodes import asked, node, operator, until, until_answered
from tests.redis_server import ENGINES, RedisServer, running_redis
from tests.unit.adapters.redis.test_registry import FAR, Tenant
from wsprism.adapters.redis import revocations
from wsprism.adapters.redis.registry import RedisRegistry
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable, Revocation
from wsprism.ports import Opened, SessionFilter, Unavailable

NAMES = [f"u{n}" for n in range(1200)]


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


async def revoke(tenant: Tenant, name: str, until_s: float = FAR, reason: str = "") -> None:
    assert await asked(tenant.registry.revoke, Revocable.USER, name, until_s, reason) in (0, 1)


async def in_force(registry: RedisRegistry) -> list[Revocation]:
    page = await asked(registry.list_revocations, 0, 5000)
    return [] if isinstance(page, Unavailable) else list(page.items)


async def first_answer(tenant: Tenant, user: str) -> object:
    """Of an opening that is tried until the registry is there."""
    answers: list[object] = []

    async def ask() -> object:
        answers.append(await tenant.opening(user))
        return answers[-1]

    await until_answered(ask, lambda answer: not isinstance(answer, Unavailable))
    return answers[-1]


async def test_an_emptied_registry_is_told_before_a_session_opens(server: RedisServer) -> None:
    async with node(server.url, "one") as one, operator(server) as other:
        tenant = Tenant(one)
        await revoke(tenant, "mallory", reason="rude")
        await revoke(tenant, "lifted")
        await revoke(tenant, "lifted", 0.0)
        await other.ask("FLUSHALL")
        refused = await first_answer(tenant, "mallory")
        assert isinstance(refused, Denied)
        assert refused.reason is Reason.REVOKED
        assert isinstance(await tenant.opening("lifted"), Opened)
        assert await in_force(tenant.registry) == [Revocation(Revocable.USER, "mallory", FAR, "rude")]


async def test_a_primary_without_its_data_is_told_all_by_a_node_that_came_later(server: RedisServer) -> None:
    async with node(server.url, "two") as two:
        theirs = Tenant(two)
        async with node(server.url, "one") as one:
            mine = Tenant(one)
            await asyncio.gather(*(revoke(mine, name) for name in NAMES))
            await asked(mine.registry.revoke, Revocable.TOKEN_ID, "t", FAR, "")
            await until(lambda: len(theirs.heard) == len(NAMES) + 1)
            async with node(server.url, "three") as three:
                late = Tenant(three)
                await until(lambda: len(late.learned_of) == len(NAMES) + 1)
                await two.close()
                await one.close()
                server.kill()
                server.start()
                await until(lambda: three.figures.connected == 2)
                for name in (NAMES[0], NAMES[-1]):
                    refused = await first_answer(late, name)
                    assert isinstance(refused, Denied)
                    assert refused.reason is Reason.REVOKED
                assert len(await in_force(late.registry)) == len(NAMES) + 1


async def test_who_got_in_by_a_node_that_knew_nothing_is_ended(server: RedisServer) -> None:
    async with node(server.url, "one") as one, node(server.url, "new") as new:
        Tenant(one).registry.known.told(Revocable.USER, "mallory", FAR, "")  # of what Redis has lost
        theirs = Tenant(new)
        await theirs.open("mallory")
        one.fenced()
        await until(lambda: theirs.heard == [(Revocable.USER, "mallory")])
        refused = await theirs.opening("mallory")
        assert isinstance(refused, Denied)
        assert refused.reason is Reason.REVOKED
        counted = await asked(theirs.registry.list_sessions, SessionFilter(), 0, 10)
        assert counted.items == []


async def test_a_lift_that_redis_knows_stays_whatever_a_node_remembers(server: RedisServer) -> None:
    async with node(server.url, "one") as one:
        tenant = Tenant(one)
        said_ms = int(time.time() * 1000)
        await revoke(tenant, "ann")
        await revoke(tenant, "bob")
        await revoke(tenant, "ann", 0.0)
        known = tenant.registry.known
        known.told(Revocable.USER, "ann", FAR, "", said_ms)
        known.told(Revocable.USER, "bob", FAR + 9, "", said_ms)
        one.fenced()
        await until(lambda: one.figures.connected == 2)
        assert isinstance(await first_answer(tenant, "ann"), Opened)
        assert [(found.name, found.until_s) for found in await in_force(tenant.registry)] == [("bob", FAR + 9)]
        await revoke(tenant, "ann")
        assert isinstance(await tenant.opening("ann"), Denied)


async def test_a_primary_that_takes_no_writes_is_not_taken_for_told(server: RedisServer) -> None:
    async with node(server.url, "one") as one, operator(server) as other:
        tenant = Tenant(one)
        await revoke(tenant, "mallory")
        restoring, told = tenant.registry._restoring, []
        await other.ask("REPLICAOF", "127.0.0.1", 1)
        assert one._pair is not None
        restoring.begin(one._pair[1], lambda: told.append(True))
        await until(lambda: one.away)
        await other.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: not one.away)
        assert isinstance(await first_answer(tenant, "mallory"), Denied)
        assert not told


async def test_a_registry_that_cannot_be_told_lets_nobody_in_until_it_can(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "_ASK_AGAIN_S", 0.1)
    async with node(server.url, "one") as one, operator(server) as other:
        tenant = Tenant(one)
        await revoke(tenant, "mallory")
        await other.ask("FLUSHALL")
        await other.ask("SET", "test:{acme}:rev", "no sorted set")
        while not one.figures.strange_answers:
            assert isinstance(await tenant.opening("mallory"), Unavailable)
        await other.ask("DEL", "test:{acme}:rev")
        await until_answered(lambda: tenant.opening("mallory"), lambda answer: isinstance(answer, Denied))
