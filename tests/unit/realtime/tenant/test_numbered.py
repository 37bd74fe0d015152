"""A numbered set: order of arrival, pages that nothing shifts, memory given back."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.realtime.tenant.numbered import Numbered


def numbered(*items: str) -> Numbered[str]:
    found: Numbered[str] = Numbered(count(1))
    for item in items:
        found.add(item)
    return found


def test_pages_follow_each_other_until_the_end() -> None:
    items = numbered("a", "b", "c", "d", "e")
    first, cursor = items.page(0, 2)
    assert (first, cursor) == (["a", "b"], 2)
    second, cursor = items.page(2, 2)
    assert (second, cursor) == (["c", "d"], 4)
    assert items.page(4, 2) == (["e"], None)


def test_a_page_that_ends_the_list_has_no_cursor() -> None:
    assert numbered("a", "b").page(0, 2) == (["a", "b"], None)
    assert numbered().page(0, 2) == ([], None)


def test_what_goes_shifts_nothing() -> None:
    items = numbered("a", "b", "c", "d")
    _, cursor = items.page(0, 2)
    items.remove("a")
    items.remove("b")
    assert cursor is not None
    assert items.page(cursor, 2) == (["c", "d"], None)


def test_what_comes_back_comes_last() -> None:
    items = numbered("a", "b", "c")
    items.remove("a")
    items.add("a")
    assert items.page(0, 9) == (["b", "c", "a"], None)


def test_an_item_is_here_once() -> None:
    items = numbered("a", "a")
    assert (len(items), list(items)) == (1, ["a"])
    items.remove("a")
    assert "a" not in items
    with pytest.raises(KeyError):
        items.remove("a")


def test_gaps_are_closed() -> None:
    items = numbered(*map(str, range(1000)))
    for number in range(990):
        items.remove(str(number))
    assert len(items._keys) <= 2 * len(items) + 32
    assert items.page(0, 3) == (["990", "991", "992"], 993)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=200), st.integers(1, 7))
def test_pages_are_the_items_in_order(steps: list[tuple[bool, int]], limit: int) -> None:
    items: Numbered[int] = Numbered(count(1))
    model: list[int] = []
    for is_added, item in steps:
        if is_added and item not in model:
            items.add(item)
            model.append(item)
        elif not is_added and item in model:
            items.remove(item)
            model.remove(item)
    pages: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        page, cursor = items.page(cursor, limit)
        assert len(page) <= limit
        pages += page
    assert pages == model == list(items)
