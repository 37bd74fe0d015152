"""How durations are counted."""

from __future__ import annotations

from wsprism.realtime.histogram import DURATION_BOUNDS_S, Histogram


def test_a_duration_counts_below_the_first_bound_that_it_does_not_exceed() -> None:
    histogram = Histogram((0.1, 0.2))
    for value_s in (0.05, 0.1, 0.15, 0.3):
        histogram.record(value_s)
    assert histogram.counts == [2, 1, 1]
    assert histogram.sum_s == 0.05 + 0.1 + 0.15 + 0.3


def test_the_bounds_begin_below_a_millisecond_and_rise() -> None:
    assert DURATION_BOUNDS_S[0] < 0.001
    assert list(DURATION_BOUNDS_S) == sorted(set(DURATION_BOUNDS_S))
