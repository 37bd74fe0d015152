"""The pacer's promises over long runs, and the two lists that neither lose, repeat nor starve."""

from __future__ import annotations

from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from qos import DirtyLists, Pacer
from tests.examples import examples

GRAIN_S = 0.001


@settings(max_examples=examples(60), deadline=None)
@given(
    share=st.floats(0.3, 0.95),
    durations=st.lists(st.floats(0.0001, 0.003), min_size=50, max_size=200),
)
def test_a_busy_process_sends_for_its_share_of_the_time(share: float, durations: list[float]) -> None:
    pacer, now = Pacer(share, max_delay_s=0.010, grain_s=GRAIN_S), 0.0
    for duration in durations:
        now += pacer.next_start(now)
        pacer.slice_done(now, now + duration)
        now += duration
    busy = sum(durations)
    assert busy <= share * (now + pacer.next_start(now) + GRAIN_S) + 1e-9
    assert now <= busy / share + 1e-9


@settings(max_examples=examples(60), deadline=None)
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


@settings(max_examples=examples(60), deadline=None)
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


@settings(max_examples=examples(60), deadline=None)
@given(
    slice_size=st.integers(1, 9),
    waiting=st.integers(0, 60),
    large=st.booleans(),
    arrivals=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8),
)
def test_nobody_waits_for_more_than_those_ahead_in_half_slices(
    slice_size: int, waiting: int, large: bool, arrivals: list[tuple[int, int]]
) -> None:
    """Whatever else is marked meanwhile. Slices of one have no half: there a slice serves one."""
    lists: DirtyLists[int] = DirtyLists(slice_size)
    for item in range(waiting):
        lists.mark(item, large=item % 2 == 0)
    lists.mark(-1, large)
    bound = waiting // max(slice_size // 2, 1) + 2
    for _, (small, big) in zip(range(bound), cycle(arrivals), strict=False):
        if -1 in lists.next_slice():
            return
        for other in range(small + big):
            lists.mark(1000 + other, large=other >= small)
    raise AssertionError("not taken in time")


@settings(max_examples=examples(60), deadline=None)
@given(slice_size=st.integers(2, 9), crowd=st.integers(0, 500), small=st.integers(1, 4))
def test_a_small_rooms_members_do_not_wait_for_a_crowd(slice_size: int, crowd: int, small: int) -> None:
    lists: DirtyLists[int] = DirtyLists(slice_size)
    for item in range(crowd):
        lists.mark(item, large=True)
    few = range(1000, 1000 + min(small, slice_size // 2))
    for item in few:
        lists.mark(item)
    assert lists.next_slice()[: len(few)] == list(few)
