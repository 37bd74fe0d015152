"""Percentiles, medians and spreads. Pure functions over numbers; the units are the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

__all__ = ["Figures", "medians", "percentile", "spreads"]

Figures = dict[str, float]
"""Named results of one run; names end in their unit. A figure that does not apply is absent."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of an ascending sequence; ``share`` is 0-1. Raises ValueError on an empty one."""
    if not ordered:
        raise ValueError("no values")
    rank = max(0, min(len(ordered) - 1, int(share * len(ordered) + 0.999999) - 1))
    return ordered[rank]


def _by_name(runs: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.items():
            values.setdefault(name, []).append(value)
    return values


def medians(runs: Iterable[Mapping[str, float]]) -> Figures:
    """The median of every figure over the runs that have it."""
    return {name: median(values) for name, values in _by_name(runs).items()}


def spreads(runs: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of every figure."""
    return {name: (min(values), max(values)) for name, values in _by_name(runs).items()}
