"""News of a tenant over several nodes: counts are those of all of them, and whoever cleans up tells who is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from tests.cluster_model import Cluster
from tests.cluster_model import MakeCluster as Make
from wsprism.adapters.backend.held_news import HeldNews, NewsEvent
from wsprism.protocol.backend import SessionFacts
from wsprism.realtime.messages import JoinRequest, LeaveRequest
from wsprism.realtime.tenant.awaited import Awaited


class Backend:
    """What a node tells, as ``BackendPort`` is told."""

    streams = None
    asks: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.told: list[NewsEvent] = []
        self._held = HeldNews(self.told.append, 1000, 1_000_000)

    def tells(self, event: str, room: str | None = None) -> bool:  # noqa: ARG002
        return event != "room_opened"

    def tell(self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> None:
        self._held.add(NewsEvent(event, "", session, fields))

    def tell_once_known(
        self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]
    ) -> Callable[[Mapping[str, Any]], None]:
        return self._held.add_unknown(NewsEvent(event, "", session, fields))

    def take(self) -> list[tuple[Any, ...]]:
        """Who did what, and how many there are then: users and sessions of a room, sessions of a user."""
        told, self.told[:] = list(self.told), []
        names = ("users", "sessions", "sessions_left")
        return [
            (one.type, one.session.user if one.session else None, *(one.fields[n] for n in names if n in one.fields))
            for one in told
        ]


@pytest.fixture
def make(make_cluster: Make) -> Callable[..., tuple[Cluster, list[Backend]]]:
    def make(**settings: Any) -> tuple[Cluster, list[Backend]]:
        cluster = partial(make_cluster, registry=True)(**settings)
        backends: list[Any] = [Backend() for _ in cluster.worlds]
        for world, backend in zip(cluster.worlds, backends, strict=True):
            world.tenant.backend = backend
        return cluster, backends

    return make


Made = Callable[..., tuple[Cluster, list[Backend]]]


async def test_counts_are_those_of_all_nodes(make: Made) -> None:
    cluster, (one, two) = make()
    phone = await cluster.member(0, "ann", "a")
    tab = await cluster.member(1, "ann", "a")
    await cluster.member(1, "bob", "a")
    assert one.take() == [("connected", "ann"), ("joined", "ann", 1, 1)]
    assert two.take() == [("connected", "ann"), ("joined", "ann", 1, 2), ("connected", "bob"), ("joined", "bob", 2, 3)]
    phone.vanish()
    cluster.settle()
    assert one.take() == [("left", "ann", 2, 2), ("room_closed", None), ("disconnected", "ann", 1)]
    tab.vanish()
    cluster.settle()
    assert two.take() == [("left", "ann", 1, 1), ("disconnected", "ann", 0)]


async def test_what_happens_meanwhile_is_told_behind_it(make: Made) -> None:
    cluster, (one, _) = make()
    ann = await cluster.member(0, "ann", "a")
    cluster.settle()
    one.take()
    world = cluster.worlds[0]
    world.tenant.ref.tell_control(LeaveRequest(ann.session, "a", None))
    world.tenant.ref.tell_control(JoinRequest(ann.session, "a", None))
    cluster.settle()
    assert one.take() == [("left", "ann", 0, 0), ("room_closed", None), ("joined", "ann", 1, 1)]


async def test_while_redis_is_away_nobody_knows_and_it_is_told_without(make: Made) -> None:
    cluster, (one, _) = make()
    ann = await cluster.member(0, "ann", "a")
    bob = await cluster.member(0, "bob", "b")
    cluster.settle()
    one.take()
    ann.vanish()
    cluster.brokers[0].lose()
    cluster.settle(but=cluster.brokers[:1])
    bob.vanish()
    cluster.settle(but=cluster.brokers[:1])
    told = one.take()
    assert [event[:2] for event in told if event[1]] == [
        ("left", "ann"),
        ("disconnected", "ann"),
        ("left", "bob"),
        ("disconnected", "bob"),
    ]
    assert all(len(event) == 2 for event in told)
    cluster.brokers[0].come_again()
    cluster.settle()
    assert one.take() == []
    assert len(cluster.redis.sessions) == 0


async def test_sessions_of_a_dead_node_are_told_and_again_if_it_lives(make: Made) -> None:
    cluster, (one, two) = make()
    ann = await cluster.member(0, "ann", "a")
    await cluster.member(1, "bob", "a")
    cluster.settle()
    before = ann.session.generation
    one.take(), two.take()
    cluster.redis.registries[0].reap()
    cluster.settle()
    (left, gone) = two.told
    assert (left.type, left.fields) == ("left", {"room": "a", "users": 1, "sessions": 1, "why": "disconnected"})
    assert (gone.type, gone.fields["code"], gone.fields["sessions_left"]) == ("disconnected", 1006, 0)
    assert left.session == gone.session == SessionFacts("ann", ann.session.sid, before, None)
    cluster.redis.registries[0].fence()
    cluster.settle()
    connected, joined = one.told
    assert (connected.type, connected.fields["again"]) == ("connected", True)
    assert (joined.type, joined.fields) == ("joined", {"room": "a", "users": 2, "sessions": 2, "again": True})
    assert connected.session == joined.session == left.session


def test_what_is_awaited_is_told_to_all_who_ask_before_and_after() -> None:
    number: Awaited[int] = Awaited()
    told: list[int] = []
    number.then(told.append)
    assert told == []
    number.come(3)
    number.then(told.append)
    assert told == [3, 3]
