"""A bounded table whose entries end by themselves: for what must be remembered until a time and no longer.

Pure: every call is told the time. What is asked for after its time is not there, whether or not it was cleaned away.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["ExpiringTable"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringTable(Generic[K, V]):
    """At most ``max_entries`` live entries: a full table takes no new key, it forgets none of those that it has."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[K, tuple[V, float, int]] = {}
        self._ends: list[tuple[float, int, K]] = []
        self._puts = 0

    def __len__(self) -> int:
        """Entries held, those included whose time has come since the last ``put``."""
        return len(self._entries)

    def put(self, key: K, value: V, expires_at: float, now: float) -> bool:
        """Remember ``value`` until ``expires_at`` in place of what stood under ``key``. False: the table is full."""
        self._forget_ended(now)
        if expires_at <= now:
            self._entries.pop(key, None)
            return True
        if key not in self._entries and len(self._entries) >= self._max_entries:
            return False
        self._puts += 1
        self._entries.pop(key, None)  # the table is in the order of the numbers
        self._entries[key] = (value, expires_at, self._puts)
        heapq.heappush(self._ends, (expires_at, self._puts, key))
        if len(self._ends) > 2 * self._max_entries:
            self._rebuild()
        return True

    def get(self, key: K, now: float) -> V | None:
        """What is remembered under ``key``."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and now < entry[1] else None

    def take(self, key: K, now: float) -> V | None:
        """``get``, and it is gone."""
        value = self.get(key, now)
        self._entries.pop(key, None)
        return value

    def page(self, after: int, limit: int, now: float) -> tuple[list[tuple[K, V, float]], int | None]:
        """Up to ``limit`` entries (key, value, end) put behind the number ``after``; the last one's if there are more.

        An entry that is put again stands behind all others from then on.
        """
        live = list(self._entries.items())
        found: list[tuple[K, V, float]] = []
        last = after
        for position in range(bisect_right(live, after, key=lambda one: one[1][2]), len(live)):
            key, (value, expires_at, number) = live[position]
            if expires_at <= now:
                continue
            if len(found) == limit:
                return found, last
            found.append((key, value, expires_at))
            last = number
        return found, None

    def _forget_ended(self, now: float) -> None:
        ends, entries = self._ends, self._entries
        while ends and ends[0][0] <= now:
            expires_at, _, key = heapq.heappop(ends)
            entry = entries.get(key)
            if entry is not None and entry[1] == expires_at:
                del entries[key]

    def _rebuild(self) -> None:
        """Drop the ends of entries that were taken or replaced, so that they never outgrow the table."""
        self._ends = [
            (expires_at, number, key) for number, (key, (_, expires_at, _)) in enumerate(self._entries.items())
        ]
        heapq.heapify(self._ends)
