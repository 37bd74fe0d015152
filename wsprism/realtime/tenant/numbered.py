"""Items in the order of their arrival, each under a number that is never given twice: what lists are paged by.

A page begins behind a number, not at an offset, so that whoever comes or goes meanwhile shifts nothing. Pure
bookkeeping for the registry; knows nothing of what it holds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

__all__ = ["Numbered"]

T = TypeVar("T", bound=Hashable)

_SPARE: Final = 32


class Numbered(Generic[T]):
    """A set in order of arrival. ``numbers`` gives the numbers, rising; several sets may share them."""

    __slots__ = ("_items", "_keys", "_numbers", "_source")

    def __init__(self, numbers: Iterator[int]) -> None:
        self._source = numbers
        self._numbers: dict[T, int] = {}
        self._keys: list[int] = []
        self._items: list[T | None] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, item: T) -> bool:
        return item in self._numbers

    def __iter__(self) -> Iterator[T]:
        return iter(self._numbers)

    def number_of(self, item: T) -> int:
        """The number under which ``item`` stands here. Raises KeyError."""
        return self._numbers[item]

    def add(self, item: T) -> None:
        """Put ``item`` at the end; one that is here stays where it is."""
        if item in self._numbers:
            return
        number = next(self._source)
        self._numbers[item] = number
        self._keys.append(number)
        self._items.append(item)

    def remove(self, item: T) -> None:
        """Forget ``item``. Raises KeyError."""
        self._items[bisect_left(self._keys, self._numbers.pop(item))] = None
        if len(self._keys) > 2 * len(self._numbers) + _SPARE:
            self._keys = list(self._numbers.values())
            self._items = list(self._numbers)

    def page(self, after: int, limit: int) -> tuple[list[T], int | None]:
        """Up to ``limit`` items whose number is above ``after``, and the last one's number if there are more.

        The work is that of the page, apart from gaps, which are never more than the items that are here.
        """
        found: list[T] = []
        last = after
        for position in range(bisect_right(self._keys, after), len(self._keys)):
            item = self._items[position]
            if item is None:
                continue
            if len(found) == limit:
                return found, last
            found.append(item)
            last = self._keys[position]
        return found, None
