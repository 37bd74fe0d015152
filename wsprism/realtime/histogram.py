"""A distribution of durations as plain integers, which telemetry reads when it is asked."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

__all__ = ["DURATION_BOUNDS_S", "Histogram"]

DURATION_BOUNDS_S: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
"""Upper bounds in seconds: a dispatch takes tens of microseconds, a stage with 10,000 members tenths of a second."""


class Histogram:
    """``counts`` holds one count per bound (a value equal to a bound is below it) and one for what is above all."""

    __slots__ = ("bounds_s", "counts", "sum_s")

    def __init__(self, bounds_s: tuple[float, ...] = DURATION_BOUNDS_S) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def record(self, value_s: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds_s, value_s)] += 1
        self.sum_s += value_s
