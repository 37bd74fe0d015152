"""Limits over nodes whose connections stall and are cut: never exceeded, and nothing is counted that is not there.

``WSPRISM_CHAOS_SECONDS`` is how long it goes on; it prints its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from load.proxy import Proxy
from tests.redis_nodes import asked, node, operator, until
from tests.redis_server import running_redis
from wsprism.adapters.redis.node import RedisNode
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import Revocable, Revocation
from wsprism.policy.sessions import OnExceed, SessionPolicy
from wsprism.ports import Answer, LostMember, LostSession, Opened, RoomCounts, SessionKey, SessionOpening

SECONDS = float(os.environ.get("WSPRISM_CHAOS_SECONDS", "5"))
LIMITS = Limits(max_sessions_total=12, max_rooms_total=3, max_users_per_room=3, max_rooms_per_user=2)
POLICY = SessionPolicy(2, OnExceed.KICK_OLDEST)
LEAST = 50
"""So many sessions are opened, however slow the machine is."""
T = "test:{acme}:"


class Tenant:
    """A node's sessions as it believes them to be, and what was done to each in its order."""

    wants_lost = False

    def __init__(self, node: RedisNode, proxy: Proxy) -> None:
        self.node = node
        self.proxy = proxy
        self.registry = node.registry("acme")
        self.registry.listener = self
        self.live: dict[SessionKey, list[tuple[str, asyncio.Future[Any] | None]]] = {}
        self.answers: Counter[str] = Counter()
        self.opening: list[asyncio.Future[Any]] = []
        self.heard: set[str] = set()

    def lost(self, what: Sequence[LostMember | LostSession]) -> None:
        """Nobody wants to hear of it."""

    def end(self, key: SessionKey, reason: str) -> None:  # noqa: ARG002
        del self.live[key]
        self.answers["ended"] += 1

    def revoked(self, what: Revocable, name: str, until_s: float) -> None:  # noqa: ARG002
        """Nobody has such a name: what was said before it has been heard as well."""
        self.heard.add(name)

    def learned(self, revocations: Sequence[Revocation]) -> None:
        """Nobody is revoked here."""

    def ended(self, key: SessionKey, code: int, reason: str) -> None:
        """Nobody is disconnected here."""

    def put_out(self, key: SessionKey, room: str) -> None:
        """Nobody is removed here."""

    def unsure(self) -> None:
        """Nobody is removed here."""

    def asked(self, body: bytes, answer: Answer | None) -> None:
        """Nobody asks anything."""

    def fenced(self) -> None:
        self.live.clear()
        self.answers["fenced"] += 1

    def open(self, user: str, sid: str) -> None:
        def done(answer: Any) -> None:
            self.answers[type(answer).__name__] += 1
            if isinstance(answer, Opened):
                for key, _ in answer.replaced:
                    self.live.pop(key, None)
                self.live[answer.key] = []
            future.set_result(answer)

        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.opening.append(future)
        self.registry.open(SessionOpening(user, sid, None, b"{}"), LIMITS, POLICY, done)

    def rooms_of(self, key: SessionKey) -> set[str]:
        rooms: set[str] = set()
        for room, joining in self.live[key]:
            if joining is None:
                rooms.discard(room)
            elif isinstance(joining.result(), RoomCounts):
                rooms.add(room)
        return rooms


@pytest.mark.alone
@pytest.mark.any_python
async def test_whatever_happens_no_limit_is_exceeded_and_what_is_counted_is_what_is_there() -> None:
    seed = int(os.environ.get("WSPRISM_CHAOS_SEED", "0")) or random.randrange(1, 10**9)
    print(f"WSPRISM_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    with running_redis() as server:
        async with AsyncExitStack() as stack:
            tenants: list[Tenant] = []
            for n in range(3):
                proxy = await stack.enter_async_context(Proxy(server.port))
                url = f"redis://127.0.0.1:{proxy.port}"
                tenants.append(Tenant(await stack.enter_async_context(node(url, f"n{n}", answer_s=0.5)), proxy))
            other = await stack.enter_async_context(operator(server))
            joins: list[asyncio.Future[Any]] = []
            until_s = time.monotonic() + SECONDS
            while time.monotonic() < until_s or sum(one.answers["Opened"] for one in tenants) <= LEAST:
                for _ in range(chance.randrange(1, 12)):
                    _act(chance, chance.choice(tenants), joins)
                await _mischief(chance, chance.choice(tenants), other)
                await _no_limit_is_exceeded(other)
                await asyncio.sleep(chance.choice([0, 0.001, 0.02]))
            for tenant in tenants:
                tenant.proxy.flow()
            await until(lambda: not any(tenant.registry.away for tenant in tenants), within_s=60)
            await asyncio.wait_for(asyncio.gather(*(one for tenant in tenants for one in tenant.opening), *joins), 60)
            names = {f"nobody-{number}" for number in range(len(tenants))}
            for name, tenant in zip(names, tenants, strict=True):
                await asked(tenant.registry.revoke, Revocable.SID, name, time.time() + 3600, "")
            await until(lambda: all(tenant.heard == names for tenant in tenants), within_s=60)
            await _what_is_counted_is_there(tenants, other)
    answers = sum((tenant.answers for tenant in tenants), Counter[str]())
    print(dict(answers), "lost:", sum(tenant.node.figures.lost for tenant in tenants))


def _act(chance: random.Random, tenant: Tenant, joins: list[asyncio.Future[Any]]) -> None:
    key = chance.choice(list(tenant.live)) if tenant.live else None
    match chance.randrange(8):
        case 0 | 1:
            tenant.open(chance.choice("abcdefgh"), chance.choice("123"))
        case 2 if key is not None:
            del tenant.live[key]
            tenant.registry.close(key)
        case 3 if key is not None:
            room = chance.choice("vwxyz")
            tenant.live[key].append((room, None))
            tenant.registry.leave(key, room)
        case 4 | 5 | 6 if key is not None:
            room = chance.choice("vwxyz")
            joining = asked(tenant.registry.join, key, room, LIMITS)
            tenant.live[key].append((room, joining))
            joins.append(joining)


async def _mischief(chance: random.Random, tenant: Tenant, other: Any) -> None:
    match chance.randrange(40):
        case 0:
            tenant.proxy.cut()
        case 1:
            tenant.proxy.keep_answers()
            await asyncio.sleep(0.02)
            tenant.proxy.cut()
            tenant.proxy.keep_answers(False)
        case 2:
            tenant.proxy.stall()
            asyncio.get_running_loop().call_later(chance.uniform(0.1, 1.2), tenant.proxy.flow)
        case 3:
            await other.ask("SCRIPT", "FLUSH")
        case 4:
            await other.ask("CLIENT", "KILL", "TYPE", chance.choice(["pubsub", "normal"]))


async def _no_limit_is_exceeded(other: Any) -> None:
    assert await other.ask("HLEN", f"{T}s") <= LIMITS.max_sessions_total
    assert await other.ask("HLEN", f"{T}rooms") <= LIMITS.max_rooms_total
    for user in "abcdefgh":
        assert await other.ask("ZCARD", f"{T}us:{user}") <= 2
        assert await other.ask("HLEN", f"{T}ur:{user}") <= LIMITS.max_rooms_per_user
    for room in "vwxyz":
        assert await other.ask("HLEN", f"{T}u:{room}") <= LIMITS.max_users_per_room


async def _what_is_counted_is_there(tenants: list[Tenant], other: Any) -> None:
    sessions: set[str] = set()
    members: dict[str, set[str]] = defaultdict(set)
    for tenant in tenants:
        assert set(tenant.live) == set(tenant.registry.sessions)
        for key in tenant.live:
            name = f"{len(key.user)}:{key.user}{key.sid}"
            assert name not in sessions
            sessions.add(name)
            for room in tenant.rooms_of(key):
                members[room].add(name)
        assert tenant.registry.waiting_bytes == 0
    assert {str(key, "ascii") for key in await other.ask("HKEYS", f"{T}s")} == sessions
    for room in "vwxyz":
        found = {str(key, "ascii") for key in await other.ask("HKEYS", f"{T}r:{room}")}
        assert found == members[room], room
    counted = await other.ask("HGETALL", f"{T}rooms")
    assert {str(room, "ascii"): int(n) for room, n in counted.items()} == {
        room: len(names) for room, names in members.items() if names
    }
