"""The pacer's promises over long runs, and the two lists that neither lose nor repeat."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from qos import DirtyLists, Pacer


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0.3, 0.95),
    durations=st.lists(st.floats(0.0001, 0.003), min_size=50, max_size=200),
)
def test_a_busy_process_sends_for_its_share_of_the_time(share: float, durations: list[float]) -> None:
    pacer, now = Pacer(share, max_delay_s=0.010, grain_s=0.001), 0.0
    for duration in durations:
        now += pacer.next_start(now)
        pacer.slice_done(now, now + duration)
        now += duration
    busy = sum(durations)
    assert busy <= share * now + 0.011
    assert now <= busy / share + 0.011


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0.01, 1.0),
    max_delay_s=st.floats(0.0, 0.1),
    slices=st.lists(st.tuples(st.floats(-0.01, 0.5), st.floats(0.0, 0.5)), max_size=50),
)
def test_no_hold_is_longer_than_the_cap_whatever_the_clock_does(
    share: float, max_delay_s: float, slices: list[tuple[float, float]]
) -> None:
    pacer, now = Pacer(share, max_delay_s), 100.0
    for pause, duration in slices:
        now += pause
        wait_s = pacer.next_start(now)
        assert 0.0 <= wait_s <= max_delay_s
        now += wait_s
        pacer.slice_done(now, now + duration)
        now += duration


@settings(max_examples=60, deadline=None)
@given(
    slice_size=st.integers(1, 6),
    steps=st.lists(st.one_of(st.booleans(), st.none()), max_size=80),
)
def test_every_marked_item_leaves_once_in_full_slices(slice_size: int, steps: list[bool | None]) -> None:
    lists: DirtyLists[int] = DirtyLists(slice_size)
    marked = 0
    taken: list[int] = []

    def take() -> None:
        waiting = len(lists)
        items = lists.next_slice()
        assert len(items) == min(waiting, slice_size)
        taken.extend(items)

    for large in steps:
        if large is None:
            take()
        else:
            lists.mark(marked, large)
            marked += 1
    while len(lists):
        take()
    assert sorted(taken) == list(range(marked))
