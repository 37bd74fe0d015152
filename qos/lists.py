"""The two lists of those that have something to send: small rooms' members go before large rooms', starving nobody."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["DirtyLists"]

T = TypeVar("T")


class DirtyLists(Generic[T]):
    """Two queues and the rule that makes slices of them. An item is marked once until it has been taken."""

    __slots__ = ("_first", "_second", "slice_size")

    def __init__(self, slice_size: int = 256) -> None:
        if slice_size < 2:
            raise ValueError("a slice holds at least two")
        self.slice_size = slice_size
        self._first: deque[T] = deque()
        self._second: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def mark(self, item: T, large: bool) -> None:
        """Append to the second list when a ``large`` publication made the item dirty, else to the first."""
        (self._second if large else self._first).append(item)

    def next_slice(self) -> list[T]:
        """Take the next slice.

        The first list has all of it while the second is empty, else at most half; the second fills the rest. What the
        first list could not send of its half then waits at the end of the second, so that neither starves.
        """
        first, second = self._first, self._second
        if not second:
            if len(first) <= self.slice_size:
                taken = list(first)
                first.clear()
                return taken
            return [first.popleft() for _ in range(self.slice_size)]
        taken = [first.popleft() for _ in range(min(len(first), self.slice_size // 2))]
        taken += [second.popleft() for _ in range(min(len(second), self.slice_size - len(taken)))]
        second.extend(first)
        first.clear()
        return taken
