"""News that wait for a backend: numbered, in order, bounded, and truthful about what was lost.

Pure: time is an argument, an event is its encoded JSON. The batch in hand is sent again and again as it is, under one
id, until it is taken; what comes meanwhile waits behind it. When too much waits, or waits too long, the oldest goes,
and the next batch says how many: the gaps in ``seq`` equal ``missed``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["NewsBatch", "NewsBounds", "NewsQueue"]


@dataclass(frozen=True, slots=True)
class NewsBounds:
    """``max_waiting`` and ``max_waiting_bytes`` do not count the batch in hand."""

    max_events: int
    max_waiting: int
    max_waiting_bytes: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class NewsBatch:
    """Consecutive events, each with the time when it came; ``missed`` came before the first and are lost."""

    id: str
    first_seq: int
    missed: int
    timed_events: tuple[tuple[float, bytes], ...]

    @property
    def events(self) -> list[bytes]:
        """The events in their order."""
        return [event for _, event in self.timed_events]


class NewsQueue:
    """``seq`` of the first event is 1. Counts are of all time."""

    def __init__(self, bounds: NewsBounds) -> None:
        self.bounds = bounds
        self.sent = 0
        self.missed = 0
        self._seq = 0
        self._gap = 0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._in_hand: NewsBatch | None = None

    def __len__(self) -> int:
        """Events that have not been taken yet, the batch in hand included."""
        return len(self._waiting) + (len(self._in_hand.timed_events) if self._in_hand is not None else 0)

    @property
    def next_seq(self) -> int:
        """The number that the next event gets."""
        return self._seq + 1

    @property
    def full_batch_waits(self) -> bool:
        """Whether as much waits as one batch holds."""
        return len(self._waiting) >= self.bounds.max_events

    def oldest_age_s(self, now: float) -> float:
        """How long the oldest event has waited; 0 when none waits."""
        oldest = self._in_hand.timed_events if self._in_hand is not None else self._waiting
        return max(0.0, now - oldest[0][0]) if oldest else 0.0

    def add(self, event: bytes, now: float) -> None:
        """Take one more event, which was made for ``next_seq``."""
        self._seq += 1
        self._waiting.append((now, event))
        self._waiting_bytes += len(event)
        bounds = self.bounds
        while len(self._waiting) > bounds.max_waiting or (
            self._waiting_bytes > bounds.max_waiting_bytes and len(self._waiting) > 1
        ):
            self._lose_oldest()

    def batch(self, now: float, new_id: str) -> NewsBatch | None:
        """The batch in hand, or the next one, which then has ``new_id``; None: nothing waits."""
        in_hand, oldest_allowed = self._in_hand, now - self.bounds.max_age_s
        if in_hand is not None:
            if in_hand.timed_events[0][0] > oldest_allowed:
                return in_hand
            self._put_back(in_hand)
        while self._waiting and self._waiting[0][0] <= oldest_allowed:
            self._lose_oldest()
        if not self._waiting:
            return None
        first_seq = self._seq - len(self._waiting) + 1
        count = min(len(self._waiting), self.bounds.max_events)
        events = tuple(self._waiting.popleft() for _ in range(count))
        self._waiting_bytes -= sum(len(event) for _, event in events)
        self._in_hand = NewsBatch(new_id, first_seq, self._gap, events)
        self._gap = 0
        return self._in_hand

    def taken(self, batch: NewsBatch) -> None:
        """The backend has it."""
        if batch is self._in_hand:
            self.sent += len(batch.timed_events)
            self._in_hand = None

    def _put_back(self, batch: NewsBatch) -> None:
        """Its oldest events have waited too long; what is left of it goes out under another id."""
        self._in_hand = None
        lost_behind, self._gap = self._gap, batch.missed
        if lost_behind:  # they would leave a hole in the middle: what came before them goes with them
            self.missed += len(batch.timed_events)
            self._gap += len(batch.timed_events) + lost_behind
            return
        self._waiting.extendleft(reversed(batch.timed_events))
        self._waiting_bytes += sum(len(event) for _, event in batch.timed_events)

    def _lose_oldest(self) -> None:
        _, event = self._waiting.popleft()
        self._waiting_bytes -= len(event)
        self.missed += 1
        self._gap += 1
