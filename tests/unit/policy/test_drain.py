"""The plan of a drain: spread, order of close and return, short graces."""

from __future__ import annotations

from collections import Counter

import pytest

from wsprism.policy.drain import DrainPlan


def test_a_client_is_closed_before_it_is_told_to_be_back() -> None:
    plan = DrainPlan(grace_ms=10_000, flush_ms=1500)
    for farewell in map(plan.farewell, range(5000)):
        assert 0 <= farewell.close_after_ms < farewell.reconnect_after_ms <= plan.reconnect_window_ms


@pytest.mark.parametrize("clients", [10, 100, 2000])
def test_closes_and_returns_are_spread_evenly(clients: int) -> None:
    plan = DrainPlan(grace_ms=10_000, flush_ms=2000)
    farewells = [plan.farewell(number) for number in range(clients)]
    for tenths in (
        Counter(one.close_after_ms * 10 // plan.close_window_ms for one in farewells),
        Counter((one.reconnect_after_ms - 1) * 10 // plan.reconnect_window_ms for one in farewells),
    ):
        assert set(tenths) <= set(range(10))
        assert all(abs(tenths[number] - clients / 10) <= 2 for number in range(10)), tenths


def test_those_closed_last_have_the_flush_time_left() -> None:
    assert DrainPlan(grace_ms=10_000, flush_ms=1500).close_window_ms == 8500


def test_a_grace_shorter_than_the_flush_time_spreads_closes_over_its_half() -> None:
    assert DrainPlan(grace_ms=1000, flush_ms=60_000).close_window_ms == 500


def test_a_grace_of_0_closes_all_at_once_and_still_spreads_their_return() -> None:
    plan = DrainPlan(grace_ms=0, flush_ms=1500)
    farewells = [plan.farewell(number) for number in range(100)]
    assert {one.close_after_ms for one in farewells} == {0}
    assert len({one.reconnect_after_ms for one in farewells}) > 90
    assert 0 < plan.wait_ms <= 100


def test_one_client_has_the_same_part_each_time() -> None:
    plan = DrainPlan(grace_ms=2000, flush_ms=1500)
    assert plan.farewell(7) == plan.farewell(7)
