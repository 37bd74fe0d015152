"""Work in slices: bounded by number and by time, one after the other, and answered once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsprism.realtime.slices import SLICE_ITEMS, SLICE_S, SlicedWork


class Bench:
    """Sliced work with a clock that ``act`` moves by ``cost_s`` for each item."""

    def __init__(self, cost_s: float = 0.0) -> None:
        self.now = 0.0
        self.cost_s = cost_s
        self.asked = 0
        self.done: list[int] = []
        self.ended: list[int] = []
        self.work = SlicedWork(self._again, lambda: self.now)

    def _again(self) -> None:
        self.asked += 1

    def act(self, some: Sequence[int]) -> int:
        self.done += some
        self.now += self.cost_s * len(some)
        return len(some)

    def begin(self, count: int, act: Callable[[Sequence[int]], int] | None = None, *, first: int = 0) -> None:
        self.work.begin(range(first, first + count), act or self.act, self.ended.append)


def test_little_is_done_at_once() -> None:
    bench = Bench()
    bench.begin(0)
    bench.begin(3)
    assert (bench.ended, bench.asked, bench.work.idle) == ([0, 3], 0, True)


def test_a_slice_is_bounded_by_number() -> None:
    bench = Bench()
    bench.begin(3 * SLICE_ITEMS)
    sizes = [len(bench.done)]
    while not bench.work.idle:
        bench.work.go_on()
        sizes.append(len(bench.done) - sum(sizes))
    assert sizes == [SLICE_ITEMS] * 3
    assert (bench.asked, bench.ended) == (2, [3 * SLICE_ITEMS])


def test_a_slice_is_bounded_by_time() -> None:
    bench = Bench(cost_s=SLICE_S / 10)
    bench.begin(1000)
    assert len(bench.done) == 16


def test_what_is_only_looked_at_goes_on_until_the_time_is_over() -> None:
    bench = Bench(cost_s=SLICE_S / 1000)
    looked: list[int] = []

    def look(some: Sequence[int]) -> int:
        looked.extend(some)
        bench.now += bench.cost_s * len(some)
        return 0

    bench.begin(10_000, look)
    assert 900 < len(looked) < 1100


def test_works_are_done_in_the_order_of_their_beginning_also_when_begun_within_one() -> None:
    bench = Bench()
    begun: list[bool] = []

    def act(some: Sequence[int]) -> int:
        if not begun:
            begun.append(True)
            bench.begin(2, first=1000)
        return bench.act(some)

    bench.begin(2 * SLICE_ITEMS, act)
    bench.begin(2, first=2000)
    while not bench.work.idle:
        bench.work.go_on()
    assert bench.done == [*range(2 * SLICE_ITEMS), 1000, 1001, 2000, 2001]
    assert bench.ended == [2 * SLICE_ITEMS, 2, 2]


def test_stopped_work_is_not_done() -> None:
    bench = Bench()
    bench.begin(3 * SLICE_ITEMS)
    bench.work.stop()
    bench.work.go_on()
    assert (len(bench.done), bench.ended) == (SLICE_ITEMS, [])
