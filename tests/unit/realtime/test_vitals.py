"""How late the loop is, and how long collections take, are measured while it runs and not beyond."""

from __future__ import annotations

import gc

import pytest

from actors.testing import ManualScheduler
from wsprism.realtime.vitals import INTERVAL_S, Vitals


def test_the_lag_is_what_a_timer_is_late() -> None:
    scheduler = ManualScheduler()
    late_s = iter([0.0, 0.03, 0.03, 0.03, 0.03])
    vitals = Vitals(scheduler, lambda: scheduler.now() + next(late_s))
    vitals.start()
    scheduler.advance(INTERVAL_S)
    scheduler.advance(INTERVAL_S)
    vitals.stop()
    assert sum(vitals.loop_lag.counts) == 2
    assert vitals.loop_lag.sum_s == pytest.approx(0.03)


def test_a_collection_is_counted_by_its_generation_until_the_stop() -> None:
    vitals = Vitals(ManualScheduler())
    vitals.start()
    gc.collect(1)
    gc.collect(2)
    vitals.stop()
    counted = [sum(one.counts) for one in vitals.gc_pause]
    assert counted[1] >= 1
    assert counted[2] >= 1
    gc.collect(2)
    assert [sum(one.counts) for one in vitals.gc_pause] == counted
    vitals.stop()


def test_nothing_is_left_running() -> None:
    before = list(gc.callbacks)
    scheduler = ManualScheduler()
    vitals = Vitals(scheduler)
    vitals.start()
    vitals.stop()
    scheduler.advance(10 * INTERVAL_S)
    assert not sum(vitals.loop_lag.counts)
    assert gc.callbacks == before
