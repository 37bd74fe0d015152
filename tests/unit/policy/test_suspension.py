"""When a service that keeps failing is left alone."""

from __future__ import annotations

import pytest

from wsprism.policy.suspension import Suspension


def fail(suspension: Suspension, times: int, now: float = 0.0) -> bool:
    """So many faults at one moment; whether the last of them suspended it."""
    began = False
    for _ in range(times):
        pass_ = suspension.ask(now)
        assert pass_ is not None
        began = suspension.failed(pass_, now)
    return began


def work(suspension: Suspension, now: float = 0.0) -> None:
    pass_ = suspension.ask(now)
    assert pass_ is not None
    suspension.worked(pass_)


def test_ten_faults_in_a_row_suspend_and_nine_do_not() -> None:
    suspension = Suspension(10)
    assert not fail(suspension, 9)
    assert suspension.ask(0.0) is not None
    assert fail(suspension, 1)
    assert suspension.suspended
    assert suspension.ask(0.999) is None


def test_a_good_answer_ends_the_row() -> None:
    suspension = Suspension(2)
    fail(suspension, 1)
    work(suspension)
    assert not fail(suspension, 1)


def test_within_a_time_good_answers_in_between_change_nothing() -> None:
    suspension = Suspension(2, within_s=60.0)
    fail(suspension, 1)
    work(suspension)
    assert fail(suspension, 1, now=60.0)


def test_faults_that_are_long_ago_do_not_count() -> None:
    suspension = Suspension(2, within_s=60.0)
    fail(suspension, 1)
    assert not fail(suspension, 1, now=60.1)
    assert fail(suspension, 1, now=61.0)


def test_after_the_pause_exactly_one_call_decides() -> None:
    suspension = Suspension(1)
    fail(suspension, 1)
    probe = suspension.ask(1.0)
    assert probe is not None
    assert suspension.ask(1.0) is None
    assert suspension.suspended
    suspension.worked(probe)
    assert not suspension.suspended
    assert suspension.ask(1.0) is not None


@pytest.mark.parametrize(("probes", "pause_s"), [(1, 2.0), (5, 32.0), (6, 60.0), (20, 60.0)])
def test_each_fault_of_the_one_that_decides_doubles_the_pause_up_to_a_minute(probes: int, pause_s: float) -> None:
    suspension = Suspension(3)
    fail(suspension, 3)
    now = 0.0
    for _ in range(probes):
        now += 60.0
        assert not fail(suspension, 1, now)
    assert suspension.ask(now + pause_s - 0.01) is None
    assert suspension.ask(now + pause_s) is not None


def test_once_it_has_worked_the_next_pause_is_short_again() -> None:
    suspension = Suspension(1)
    fail(suspension, 1)
    fail(suspension, 1, now=1.0)
    work(suspension, now=3.0)
    fail(suspension, 1, now=4.0)
    assert suspension.ask(5.0) is not None


def test_a_call_that_told_nothing_leaves_the_decision_to_the_next() -> None:
    suspension = Suspension(1)
    fail(suspension, 1)
    probe = suspension.ask(1.0)
    assert probe is not None
    suspension.withdrawn(probe)
    assert suspension.ask(1.0) is not None


def test_what_began_before_the_suspension_decides_nothing_afterwards() -> None:
    suspension = Suspension(1)
    early, other, fault = suspension.ask(0.0), suspension.ask(0.0), suspension.ask(0.0)
    assert early is not None
    assert other is not None
    assert fault is not None
    suspension.failed(fault, 0.0)
    suspension.worked(early)
    assert suspension.suspended
    assert not suspension.failed(other, 0.5)
    assert suspension.ask(1.0) is not None
