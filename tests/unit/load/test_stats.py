"""Percentiles by nearest rank, medians and spreads over runs that may lack a figure."""

from __future__ import annotations

import pytest

from load.stats import medians, percentile, spreads


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_medians_and_spreads_are_taken_over_the_runs_that_have_a_figure() -> None:
    runs = [{"a": 1.0, "b": 5.0}, {"a": 9.0}, {"a": 2.0, "b": 7.0}]
    assert medians(runs) == {"a": 2.0, "b": 6.0}
    assert spreads(runs) == {"a": (1.0, 9.0), "b": (5.0, 7.0)}
