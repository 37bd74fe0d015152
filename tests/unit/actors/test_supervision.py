"""Restart intensity and back-off as pure data."""

from __future__ import annotations

from typing import Any

import pytest

from actors.supervision import RestartHistory, Supervision


def test_the_intensity_counts_only_the_period() -> None:
    history, supervision = RestartHistory(), Supervision(max_restarts=2, within_s=10.0)
    assert history.admit(supervision, 0.0) == 0.0
    assert history.admit(supervision, 5.0) == 0.0
    assert history.admit(supervision, 10.0) is None
    assert history.admit(supervision, 10.1) == 0.0


def test_no_restart_at_all_with_an_intensity_of_zero() -> None:
    assert RestartHistory().admit(Supervision(max_restarts=0), 0.0) is None


def test_without_an_intensity_it_is_restarted_for_ever_ever_later() -> None:
    supervision = Supervision(max_restarts=None, within_s=60.0, at_once=2, backoff_initial_s=0.1, backoff_max_s=10.0)
    history, now = RestartHistory(), 0.0
    waits = []
    for _ in range(100):
        delay_s = history.admit(supervision, now)
        assert delay_s is not None
        waits.append(delay_s)
        now += delay_s
    assert waits[:6] == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8]
    assert max(waits) == 10.0
    assert min(waits[2:]) > 0
    assert history.admit(supervision, now + 61.0) == 0.0, "a quiet period forgives"


def test_the_back_off_grows_to_its_maximum_with_jitter() -> None:
    supervision = Supervision(
        backoff_initial_s=1.0, backoff_max_s=5.0, backoff_factor=2.0, jitter=0.5, random=lambda: 1.0
    )
    assert [supervision.backoff_s(n) for n in (1, 2, 3, 4, 10_000)] == [1.5, 3.0, 6.0, 7.5, 7.5]
    assert Supervision(backoff_initial_s=1.0, backoff_factor=1.0).backoff_s(10**9) == 1.0


@pytest.mark.parametrize(
    "fault",
    [
        {"max_restarts": -1},
        {"max_restarts": None},
        {"within_s": 0},
        {"backoff_initial_s": -1.0},
        {"jitter": -0.1},
        {"backoff_factor": 0.5},
    ],
)
def test_senseless_figures_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Supervision(**fault)
