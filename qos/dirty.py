"""Who is to be written to next: two lists, so that small rooms go before large ones and neither starves.

Knows nothing of what it lists. The flusher marks and takes slices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["DirtyLists"]

T = TypeVar("T")


class DirtyLists(Generic[T]):
    """First in, first out in each list. An item marked twice is listed twice: mark on `Verdict.WAKE` only.

    ``slice_size`` is 1 or more; below 2 there is no half to give, and all is one list while the second is in use.
    """

    __slots__ = ("_first", "_second", "_slice_size")

    def __init__(self, slice_size: int = 256) -> None:
        self._first: list[T] = []
        self._second: list[T] = []
        self._slice_size = slice_size

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __bool__(self) -> bool:
        return bool(self._first or self._second)

    def mark(self, item: T, large: bool = False) -> None:
        """List ``item``, on the second list when a ``large`` room's publication made it dirty."""
        if large:
            self._second.append(item)
        else:
            self._first.append(item)

    def mark_all(self, items: Iterable[T], large: bool = False) -> None:
        """`mark` each of ``items``, in their order."""
        (self._second if large else self._first).extend(items)

    def next_slice(self) -> list[T]:
        """Remove and return at most one slice of items, those of the first list before those of the second.

        With a second list the first has half a slice, and what is over that goes to the second's end. Alone it has all.
        """
        first, second = self._first, self._second
        if not second and len(first) <= self._slice_size:
            self._first = []
            return first
        share = self._slice_size // 2 if second else self._slice_size
        items = first[:share]
        del first[:share]
        if second:
            second += first
            self._first = []
            rest = self._slice_size - len(items)
            items += second[:rest]
            del second[:rest]
        return items
