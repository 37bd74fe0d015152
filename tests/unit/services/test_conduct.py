"""What every service of the operator's code is counted, and when it is left alone."""

from __future__ import annotations

import logging

import pytest

from tests.realtime_support import World
from wsprism.policy.suspension import Suspension
from wsprism.realtime.tenant.service_host import TenantServiceHost
from wsprism.services.conduct import Conduct


def conduct_in(world: World, faults: int = 2) -> Conduct:
    conduct = Conduct("ext", "game", "python", "abc", Suspension(faults))
    conduct.start(TenantServiceHost(world.tenant, world.scheduler))
    return conduct


def fail(conduct: Conduct, words: str = "x", error: Exception | None = None) -> None:
    pass_ = conduct.begin(0.0)
    assert pass_ is not None
    conduct.failed(pass_, "exception", words, error)


async def test_calls_effects_and_faults_are_counted_by_lane_and_name() -> None:
    world = World()
    conduct = conduct_in(world)
    for _ in range(16):
        pass_ = conduct.begin(0.0)
        assert pass_ is not None
        conduct.worked(pass_, 2, 0.001)
    fail(conduct, "KeyError: 'x'")
    counts = world.tenant.counters.services["ext", "game"]
    assert (counts.calls, counts.effects, counts.faults["exception"], sum(counts.duration.counts)) == (17, 32, 1, 1)
    assert conduct.status.last_fault == "KeyError: 'x'"


async def test_a_suspended_service_is_told_once_and_again_when_it_works(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    conduct = conduct_in(world)
    for _ in range(2):
        fail(conduct)
    counts = world.tenant.counters.services["ext", "game"]
    assert (conduct.begin(0.5), counts.suspended, counts.suspensions, counts.calls) == (None, True, 1, 2)
    assert conduct.status.suspended
    world.scheduler.advance(1.0)
    pass_ = conduct.begin(1.0)
    assert pass_ is not None
    conduct.worked(pass_, 0, 0.0)
    assert (counts.suspended, conduct.status.suspended) == (False, False)
    said = [one.message for one in caplog.records]
    assert said == ["a service failed", "a service keeps failing, and is suspended", "a service works again"]


async def test_a_thousand_faults_are_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    conduct = conduct_in(World(), faults=10_000)
    for _ in range(1000):
        fail(conduct, "x" * 10_000, ValueError("x"))
    [record] = caplog.records
    assert record.exc_info is not None
    assert len(str(record.__dict__["fault"])) < 400


async def test_its_counts_outlive_it_and_it_counts_no_more_once_it_has_ended() -> None:
    world = World()
    first = conduct_in(world)
    fail(first)
    fail(first)
    first.stop()
    counts = world.tenant.counters.services["ext", "game"]
    assert not counts.suspended
    second = conduct_in(world)
    first.held(1.0, "move")
    second.held(1.0, "move")
    assert (counts.calls, counts.slow) == (2, 1)
