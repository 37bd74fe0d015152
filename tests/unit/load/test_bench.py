"""A disturbed run is measured again, and the least disturbed one counts."""

from __future__ import annotations

import pytest

from load import bench
from load.measure import Timing
from load.peers import PEERS
from load.shapes import SHAPES
from load.stats import Figures


def run(monkeypatch: pytest.MonkeyPatch, shares: list[float], again: int) -> Figures:
    left = iter(shares)
    monkeypatch.setattr(bench, "_run_once", lambda *_: {"elsewhere_cpu_share": next(left)})
    return bench._run_undisturbed(SHAPES[0], PEERS["wsprism"], "ext", Timing(0, 0), again)


def test_an_undisturbed_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [0.1], again=2) == {"elsewhere_cpu_share": 0.1}


def test_a_disturbed_run_is_repeated_until_one_is_undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [0.5, 0.1], again=2) == {"elsewhere_cpu_share": 0.1, "repeated": 1}


def test_of_runs_that_are_all_disturbed_the_least_disturbed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [0.5, 0.3, 0.4], again=2)["elsewhere_cpu_share"] == 0.3
