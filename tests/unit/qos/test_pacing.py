"""The pacer on exact times."""

from __future__ import annotations

import pytest

from qos import Pacer


def test_a_quiet_process_starts_at_once() -> None:
    assert Pacer().next_start(5.0) == 0.0


def test_a_slice_owes_the_time_that_its_share_leaves_to_others() -> None:
    pacer = Pacer(share=0.5, max_delay_s=0.010, grain_s=0.001)
    pacer.slice_done(0.0, 0.004)
    assert pacer.next_start(0.004) == pytest.approx(0.004)
    assert pacer.next_start(0.0071) == 0.0


def test_short_slices_start_at_once_until_their_debt_is_worth_a_timer() -> None:
    pacer = Pacer(share=0.5, max_delay_s=0.010, grain_s=0.001)
    pacer.slice_done(0.0, 0.0006)
    assert pacer.next_start(0.0006) == 0.0
    pacer.slice_done(0.0006, 0.0012)
    assert pacer.next_start(0.0012) == pytest.approx(0.0012)


def test_no_debt_is_larger_than_the_longest_hold() -> None:
    pacer = Pacer(share=0.1, max_delay_s=0.010)
    pacer.slice_done(0.0, 1.0)
    assert pacer.next_start(1.0) == pytest.approx(0.010)
    assert pacer.next_start(1.010) == 0.0


@pytest.mark.parametrize("pacer", [Pacer(share=1.0), Pacer(max_delay_s=0.0)])
def test_a_whole_share_or_no_delay_never_holds(pacer: Pacer) -> None:
    for start in range(10):
        pacer.slice_done(start, start + 1.0)
        assert pacer.next_start(start + 1.0) == 0.0


def test_a_clock_that_goes_backwards_is_harmless() -> None:
    pacer = Pacer()
    pacer.slice_done(5.0, 4.0)
    assert 0.0 <= pacer.next_start(0.0) <= 0.010
