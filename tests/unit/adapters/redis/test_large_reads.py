"""Histories and values of many rooms at once on the real server: none costs the connection, and each has its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.redis_nodes import asked, node, until
from tests.redis_server import running_redis
from wsprism.policy.history import HistoryBounds
from wsprism.policy.values import ValueBounds, ValueChange
from wsprism.ports import Draft, Ordered, Unavailable

ROOMS = [f"room:{n}" for n in range(100)]
LARGE = b'"%s"' % (b"x" * 30_000)


class Listener:
    """Of many rooms; it counts what they are told."""

    def __init__(self) -> None:
        self.subscriptions = 0

    def subscribed(self) -> None:
        self.subscriptions += 1

    def lost(self) -> None:
        """It is looked at where the connection is."""

    def ordered(self, batch: Any) -> None:
        """Changes have tests of their own."""

    def hot(self, frames: Sequence[bytes]) -> None:
        """None here."""

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        """Nobody here."""


async def test_the_values_of_all_rooms_are_read_at_once_though_redis_keeps_no_large_answer_for_anybody() -> None:
    change = ValueChange("s", "k", LARGE, "ann", None, ValueBounds(9, 99_999), 99_999_999)
    with running_redis("--client-output-buffer-limit", "pubsub 1mb 0 0") as strict:
        async with node(strict.url, answer_s=10.0) as one:
            broker, listener = one.broker("acme"), Listener()
            for room in ROOMS:
                broker.subscribe(room, None, listener)
            await until(lambda: listener.subscriptions == len(ROOMS))
            for room in ROOMS:
                assert isinstance(await asked(broker.change_value, room, b"p", change, None), Ordered)
            found = await asyncio.gather(*(asked(broker.read_values, room, None, None) for room in ROOMS))
            assert [one["s"].entries["k"].data for one in found] == [LARGE] * len(ROOMS)
            assert one.figures.lost == 0


async def test_the_histories_of_all_rooms_of_several_tenants_are_read_at_once_under_the_same_bound() -> None:
    bounds = HistoryBounds(9, 99_999, 60.0, 9)
    with running_redis("--client-output-buffer-limit", "pubsub 1mb 0 0") as strict:
        async with node(strict.url, answer_s=10.0) as one:
            brokers, listener = [one.broker("acme"), one.broker("other")], Listener()
            places = [(broker, room) for broker in brokers for room in ROOMS[:60]]
            for broker, room in places:
                broker.subscribe(room, bounds, listener)
            await until(lambda: listener.subscriptions == len(places))
            for broker, room in places:
                assert isinstance(await asked(broker.publish, room, [Draft(LARGE)], bounds), Ordered)
            found = await asyncio.gather(*(asked(broker.read, room, None, bounds) for broker, room in places))
            assert [[item.payload for item in one.items] for one in found] == [[LARGE]] * len(places)
            await asyncio.gather(*(asked(broker.read, room, None, None) for broker, room in places))
            assert one.figures.lost == 0


async def test_whoever_waits_to_read_when_redis_is_lost_is_told_so() -> None:
    with running_redis() as server:
        async with node(server.url) as one:
            broker = one.broker("acme")
            assert await asked(broker.read_values, "a", None, None) == {}
            server.kill()
            bounds = HistoryBounds(9, 99_999, 60.0, 9)
            waiting = [asked(broker.read_values, room, None, None) for room in ROOMS]
            waiting += [asked(broker.read, room, None, bounds) for room in ROOMS]
            async with asyncio.timeout(60):
                assert set(await asyncio.gather(*waiting)) == {Unavailable.AWAY}
