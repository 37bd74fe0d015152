"""The backlog of a congested connection: fair turns on bytes, and conflation in place."""

from __future__ import annotations

import pytest

from qos.backlog import QUANTUM_BYTES, Backlog, Taken
from qos.frame import Frame
from qos.lane import Lane


def backlog_of(reliable: list[bytes], hot: list[bytes], weights: tuple[int, int] = (1, 1)) -> Backlog:
    backlog = Backlog(*weights)
    backlog.reliable.extend(Frame(data, Lane.RELIABLE) for data in reliable)
    backlog.hot.extend(Frame(data, Lane.HOT) for data in hot)
    return backlog


def lanes_of(parts: list[bytes]) -> str:
    return "".join(chr(data[0]) for data in parts)


def plain_rounds(reliable: list[int], hot: list[int], weights: tuple[int, int]) -> str:
    """Deficit round robin as the paper says it: round after round, and nothing skipped."""
    queues, deficits, order = (list(reliable), list(hot)), [0, 0], ""
    while all(queues):
        for lane in (0, 1):
            deficits[lane] += weights[lane] * QUANTUM_BYTES
            while all(queues) and queues[lane][0] <= deficits[lane]:
                deficits[lane] -= queues[lane].pop(0)
                order += "rh"[lane]
    return order + "r" * len(queues[0]) + "h" * len(queues[1])


def test_a_lane_keeps_its_turn_for_a_quantum() -> None:
    half = QUANTUM_BYTES // 2
    backlog = backlog_of([b"r" * half] * 4, [b"h" * half] * 4)
    parts: list[bytes] = []
    taken = backlog.take(parts, 10**6, hot=True)
    assert lanes_of(parts) == "rrhhrrhh"
    assert taken == Taken(4, 4 * half, 4, 4 * half)
    assert not backlog


def test_a_turn_goes_on_where_the_budget_cut_it() -> None:
    half = QUANTUM_BYTES // 2
    backlog = backlog_of([b"r" * half] * 4, [b"h" * half] * 4)
    order = ""
    for _ in range(8):
        parts: list[bytes] = []
        backlog.take(parts, half, hot=True)
        order += lanes_of(parts)
    assert order == "rrhhrrhh"


@pytest.mark.parametrize(
    ("reliable", "hot", "weights"),
    [
        ([1_000_000] * 3, [999_000] * 3, (1, 1)),
        ([100_000] * 3, [60] * 2000, (1, 1)),
        ([60] * 2000, [100_000] * 4, (1, 3)),
        ([512, 513, 1024, 1025, 1], [511, 1536, 1537, 4096, 9], (1, 1)),
        ([70_000, 10, 70_000, 5000], [3000, 3000, 40_000, 1], (5, 2)),
    ],
)
def test_rounds_skipped_at_once_give_the_order_of_plain_rounds(
    reliable: list[int], hot: list[int], weights: tuple[int, int]
) -> None:
    backlog = backlog_of([b"r" * size for size in reliable], [b"h" * size for size in hot], weights)
    parts: list[bytes] = []
    backlog.take(parts, 10**9, hot=True)
    assert lanes_of(parts) == plain_rounds(reliable, hot, weights)


def test_a_lane_alone_gathers_no_credit() -> None:
    backlog = backlog_of([b"r" * 4096] * 50, [])
    backlog.take([], 4096 * 49, hot=True)
    backlog.reliable.extend(Frame(b"r" * QUANTUM_BYTES, Lane.RELIABLE) for _ in range(3))
    backlog.reliable.popleft()
    backlog.hot.extend(Frame(b"h" * QUANTUM_BYTES, Lane.HOT) for _ in range(3))
    parts: list[bytes] = []
    backlog.take(parts, 10**6, hot=True)
    assert lanes_of(parts) == "rhrhrh"


def test_what_is_left_of_a_turn_ends_with_the_contention() -> None:
    backlog = backlog_of([b"r" * 100], [b"h" * QUANTUM_BYTES])
    backlog.take([], 10**6, hot=True)
    backlog.reliable.extend(Frame(b"r" * 300, Lane.RELIABLE) for _ in range(3))
    backlog.hot.extend(Frame(b"h" * QUANTUM_BYTES, Lane.HOT) for _ in range(3))
    parts: list[bytes] = []
    backlog.take(parts, 10**6, hot=True)
    assert lanes_of(parts) == "rhrrhh"


def test_without_hot_only_reliable_frames_leave() -> None:
    backlog = backlog_of([b"r1", b"r2"], [b"h"])
    parts: list[bytes] = []
    assert backlog.take(parts, 100, hot=False) == Taken(2, 4, 0, 0)
    assert parts == [b"r1", b"r2"]
    assert backlog


def test_a_frame_larger_than_the_budget_leaves_only_as_the_first_of_a_write() -> None:
    backlog = backlog_of([b"r" * 100], [])
    parts = [b"control"]
    assert backlog.take(parts, 50, hot=True) == Taken(0, 0, 0, 0)
    assert backlog.take([], 50, hot=True) == Taken(1, 100, 0, 0)


def test_replacing_tells_the_bytes_that_it_saved() -> None:
    backlog = Backlog(1, 1)
    assert backlog.start_conflation() == (0, 0)
    assert backlog.push_hot(Frame(b"", Lane.HOT, "a")) == -1
    assert backlog.push_hot(Frame(b"abc", Lane.HOT, "a")) == 0
    assert backlog.push_hot(Frame(b"d", Lane.HOT, "a")) == 3
    assert backlog.push_hot(Frame(b"e", Lane.HOT)) == -1
    assert [frame.data for frame in backlog.hot] == [b"d", b"e"]


def test_conflation_that_stopped_appends_and_starts_over_with_what_stands_there() -> None:
    backlog = Backlog(1, 1)
    backlog.start_conflation()
    backlog.push_hot(Frame(b"a1", Lane.HOT, "a"))
    backlog.push_hot(Frame(b"n", Lane.HOT))
    backlog.stop_conflation()
    backlog.push_hot(Frame(b"a2", Lane.HOT, "a"))
    assert [frame.data for frame in backlog.hot] == [b"a1", b"n", b"a2"]
    assert backlog.start_conflation() == (1, 2)
    assert [frame.data for frame in backlog.hot] == [b"a2", b"n"]
    assert backlog.pop_hot().data == b"a2"
    assert backlog.pop_hot().data == b"n"


def test_clearing_forgets_frames_and_keys() -> None:
    backlog = Backlog(1, 1)
    backlog.push_hot(Frame(b"h", Lane.HOT, "a"))
    backlog.clear_hot()
    assert not backlog
    backlog.start_conflation()
    backlog.push_hot(Frame(b"h", Lane.HOT, "a"))
    backlog.clear_hot()
    assert backlog.push_hot(Frame(b"i", Lane.HOT, "a")) == -1
