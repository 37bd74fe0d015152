"""What concerns ten thousand sessions at once leaves everybody else their turn: no turn of the loop does much of it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.policy.drain import DrainPlan
from wsprism.policy.revocation import Revocable
from wsprism.ports import Principal, TicketRequest
from wsprism.realtime.messages import RemoveTenant, Revoke, RulesChanged
from wsprism.realtime.outbound.drain import Drain
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, Who

SESSIONS = 3000
LONGEST_S = 0.02
"""Of this thread's own time, without the garbage collector: for machines that are busy. Undivided it is far more."""


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def crowd(world: World, users: Callable[[int], str] = "u{}".format) -> list[Peer]:
    return [await world.connect(users(number)) for number in range(SESSIONS)]


def longest_turn_s(world: World) -> float:
    """Runs everything that is due; the longest callback round."""
    longest = 0.0
    while True:
        began = time.thread_time()
        if not world.scheduler.run_once():
            return longest
        longest = max(longest, time.thread_time() - began)


async def asked(world: World, question: object) -> float:
    answer = asyncio.ensure_future(world.tenant.ref.ask(question, 60.0))
    await asyncio.sleep(0)
    longest = longest_turn_s(world)
    assert await answer == SESSIONS
    return longest


async def test_a_tenant_is_removed() -> None:
    world = World()
    peers = await crowd(world)
    world.tenant.removed = True
    world.tenant.ref.tell_control(RemoveTenant())
    assert longest_turn_s(world) < LONGEST_S
    assert world.tenant.sessions == 0
    assert all(peer.closed_with() == (4504, "tenant removed") for peer in peers)


async def test_a_user_with_all_those_sessions_is_revoked() -> None:
    world = World()
    await crowd(world, lambda _: "ann")
    assert await asked(world, Revoke(Revocable.USER, "ann", 1e9)) < LONGEST_S
    assert world.tenant.sessions == 0


async def test_a_user_with_all_those_sessions_is_disconnected() -> None:
    world = World()
    await crowd(world, lambda _: "ann")
    assert await asked(world, DisconnectForBackend(Who(user="ann"), None, 4500, "told to")) < LONGEST_S


async def test_a_user_with_all_those_sessions_opens_one_more() -> None:
    world = World(policy={"sessions": {"max_sessions_per_user": SESSIONS, "on_exceed": "kick_oldest"}})
    peers = await crowd(world, lambda _: "ann")
    began = time.thread_time()
    await world.ask("ann")
    assert time.thread_time() - began < LONGEST_S
    assert peers[0].closed_with() == (4500, "kicked_oldest")
    assert world.tenant.sessions == SESSIONS


async def test_the_rules_change() -> None:
    world = World()
    peers = await crowd(world)
    limits = replace(world.tenant.rules.limits, max_frame_bytes=99)
    world.tenant.apply(replace(world.tenant.rules, limits=limits))
    world.tenant.ref.tell_control(RulesChanged())
    assert longest_turn_s(world) < LONGEST_S
    assert {peer.transport.max_message_bytes for peer in peers} == {99}


@pytest.mark.parametrize("grace_ms", [0, 1000])
async def test_everybody_is_drained(grace_ms: int) -> None:
    world = World()
    peers = await crowd(world)
    drain = Drain(world.scheduler, DrainPlan(grace_ms=grace_ms, flush_ms=1000))
    began = time.thread_time()
    drain.begin(peers)
    assert time.thread_time() - began < LONGEST_S
    assert longest_turn_s(world) < LONGEST_S
    world.scheduler.advance(2.0)
    assert all(peer.closed_with() == (1001, "draining") for peer in peers)


class Narrow:
    async def authenticate(self, request: TicketRequest) -> Principal:  # noqa: ARG002 (one answer)
        return Principal("u", rooms=("kept",))

    async def close(self) -> None: ...


async def test_a_refresh_puts_its_session_out_of_thousands_of_rooms() -> None:
    world = World(Narrow(), limits={"max_rooms_per_user": 0, "max_rooms_total": 0})
    peer = await world.connect()
    for name in ["kept", *(f"r{number}" for number in range(SESSIONS))]:
        peer.join(name)
    peer.heard()
    refresh: dict[str, Any] = {"v": 1, "svc": "sys", "type": "refresh", "data": {"ticket": "x"}}
    peer.say(refresh)
    for _ in range(3):
        await asyncio.sleep(0)
    assert longest_turn_s(world) < LONGEST_S
    assert list(peer.session.rooms) == ["kept"]
    assert peer.session.active_room == "kept"
    assert not peer.session.muted
    assert sorted(set(peer.types())) == ["left", "refreshed"]
