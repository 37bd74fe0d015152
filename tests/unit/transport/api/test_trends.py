"""Trends: what the counters say, as rates of two seconds each, for five minutes and no longer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from actors.testing import ManualScheduler
from tests.realtime_support import World
from wsprism.policy.decisions import Reason
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.vitals import Vitals
from wsprism.transport.api.trends import Trends, memory_bytes


class Watched:
    def __init__(self) -> None:
        self.clock = ManualScheduler()
        self.tenant = World().tenant
        self.counters = GatewayCounters()
        self.cpu_s = 0.0
        self.vitals = Vitals(self.clock)
        view: Any = SimpleNamespace(
            counters=self.counters, vitals=self.vitals, tenants=lambda: [self.tenant], connections=lambda: 7
        )
        self.trends = Trends(self.clock, view, cpu_s=lambda: self.cpu_s, memory=lambda: 1000)


def test_the_first_look_knows_what_stands_and_not_what_moves() -> None:
    watched = Watched()
    watched.tenant.counters.messages_in_ext = 100
    watched.trends.start()
    [point] = watched.trends.points
    assert (point.connections, point.memory_bytes, point.messages_in_per_s, point.cpu) == (7, 1000, 0, 0)
    watched.trends.stop()
    assert watched.clock.timers == 0


def test_what_moves_is_told_per_second() -> None:
    watched = Watched()
    watched.trends.start()
    counters = watched.tenant.counters
    counters.messages_in_ext, counters.messages_in_hot = 6, 4
    counters.lanes.reliable.sent += 20
    counters.lanes.hot.dropped += 2
    counters.decisions.count(Reason.RATE_LIMITED_EXT, 3)
    watched.counters.handshakes_refused["ticket"] += 1
    counters.decisions.count(Reason.AUTH_FAILED)
    watched.vitals.loop_lag.record(0.01)
    watched.vitals.loop_lag.record(0.03)
    watched.cpu_s = 0.5
    watched.clock.advance(2.0)
    point = watched.trends.points[-1]
    assert point.messages_in_per_s == 5
    assert point.deliveries_out_per_s == 10
    assert point.drops_per_s == 1
    assert point.refusals_per_s == 2  # one handshake, counted once
    assert point.loop_lag_s == 0.02
    assert point.cpu == 0.25


def test_five_minutes_are_kept() -> None:
    watched = Watched()
    watched.trends.start()
    for _ in range(1000):
        watched.clock.advance(2.0)
    assert len(watched.trends.points) == 150


def test_memory_is_that_of_this_process() -> None:
    assert 1_000_000 < memory_bytes() < 1 << 40
