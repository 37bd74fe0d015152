"""The two lists of those to be written to next."""

from __future__ import annotations

from qos import DirtyLists


def filled(first: range, second: range) -> DirtyLists[int]:
    lists: DirtyLists[int] = DirtyLists(8)
    for item in first:
        lists.mark(item)
    for item in second:
        lists.mark(item, large=True)
    return lists


def test_first_list_alone_has_whole_slices_in_order() -> None:
    lists = filled(range(10), range(0))
    assert [lists.next_slice(), lists.next_slice()] == [list(range(8)), [8, 9]]


def test_second_list_fills_what_the_first_leaves() -> None:
    lists = filled(range(2), range(100, 110))
    assert lists.next_slice() == [0, 1, *range(100, 106)]
    assert len(lists) == 4


def test_first_list_beyond_its_half_goes_to_the_end_of_the_second() -> None:
    lists = filled(range(10), range(100, 106))
    assert lists.next_slice() == [0, 1, 2, 3, 100, 101, 102, 103]
    assert lists.next_slice() == [104, 105, *range(4, 10)]


def test_overflow_of_the_first_fills_a_slice_that_the_second_cannot() -> None:
    lists = filled(range(10), range(100, 101))
    assert lists.next_slice() == [0, 1, 2, 3, 100, 4, 5, 6]
    assert lists.next_slice() == [7, 8, 9]


def test_a_steady_first_list_does_not_starve_the_second() -> None:
    lists = filled(range(0), range(100, 120))
    seen: list[int] = []
    for turn in range(5):
        for item in range(50):
            lists.mark(1000 + turn * 50 + item)
        seen += lists.next_slice()
    assert [item for item in seen if item < 1000] == list(range(100, 120))


def test_nothing_marked_is_an_empty_slice() -> None:
    lists = filled(range(0), range(0))
    assert lists.next_slice() == []
    assert len(lists) == 0


def test_slices_of_one_do_not_starve_the_second_list_either() -> None:
    lists: DirtyLists[int] = DirtyLists(1)
    lists.mark(0, large=True)
    seen: list[int] = []
    for item in range(1, 6):
        lists.mark(item)
        seen += lists.next_slice()
    assert seen == [0, 1, 2, 3, 4]
