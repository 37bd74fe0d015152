"""The manual clock and the probe."""

from __future__ import annotations

import pytest

from actors import ActorSystem
from actors.testing import ManualScheduler, Probe


def test_timers_run_in_order_each_at_its_own_time() -> None:
    clock, seen = ManualScheduler(100.0), list[tuple[str, float]]()
    clock.call_later(2.0, lambda: seen.append(("late", clock.now())))
    clock.call_later(1.0, lambda: clock.call_later(0.5, lambda: seen.append(("nested", clock.now()))))
    clock.call_later(1.0, lambda: seen.append(("cancelled", 0.0))).cancel()
    assert clock.timers == 2
    clock.advance(3.0)
    assert seen == [("nested", 101.5), ("late", 102.0)]
    assert clock.now() == 103.0


def test_a_timer_cancelled_by_another_that_is_due_with_it_does_not_run() -> None:
    clock, seen = ManualScheduler(), list[int]()
    clock.call_later(1.0, lambda: second.cancel())
    second = clock.call_later(1.0, seen.append, 1)
    clock.advance(1.0)
    assert seen == []


def test_a_clock_that_never_gets_idle_says_so() -> None:
    clock = ManualScheduler()

    def again() -> None:
        clock.call_soon(again)

    again()
    with pytest.raises(RuntimeError, match="not idle"):
        clock.run_until_idle(limit=10)


async def test_a_probe_records_answers_and_complains() -> None:
    system = ActorSystem()
    probe = Probe(system, "probe", answer=lambda message: message + 1)
    assert await probe.ref.ask(1, 1.0) == 2
    probe.expect(1)
    probe.expect_nothing()
    with pytest.raises(AssertionError, match="expected the end"):
        probe.expect_terminated(probe.ref)
    assert await system.stop(1.0)
