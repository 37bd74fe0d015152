"""Open loop: every message has its time, late ones are not skipped, samples visit every sender."""

from __future__ import annotations

from math import gcd

import pytest

from load.schedule import Schedule, sample_every


def test_nothing_is_due_before_the_start() -> None:
    assert len(Schedule(1000, start_us=500).due(499, 10)) == 0


def test_messages_are_due_at_their_intended_times() -> None:
    schedule = Schedule(1000, start_us=0)
    assert schedule.due(0, 10) == range(1)
    assert schedule.due(2999, 10) == range(1, 3)
    assert [schedule.intended_us(number) for number in range(3)] == [0, 1000, 2000]


def test_a_late_sender_catches_up_in_bounded_steps_and_skips_nothing() -> None:
    schedule = Schedule(1000, start_us=0)
    late = [schedule.due(10_000, 4) for _ in range(4)]
    assert [number for due in late for number in due] == list(range(11))
    assert max(len(due) for due in late) == 4


@pytest.mark.parametrize("senders", [1, 10, 200, 1000])
@pytest.mark.parametrize("rate", [10, 40_000, 2_000_000])
def test_the_sampled_part_is_coprime_to_the_senders(rate: float, senders: int) -> None:
    every = sample_every(rate, senders)
    assert gcd(every, senders) == 1
    assert rate / every <= 30_000
