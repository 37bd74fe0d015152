"""Which question a backend is asked next: bounded, in order for each connection, fair between them.

Pure bookkeeping of one tenant. What stands in a ``Line`` is asked in its order, at most ``abreast`` at a time; lines
take turns, so that whoever waits for much delays nobody who waits for little. Decisions (connect, join) go first and
have places of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Batch", "Line", "Question", "QuestionBounds", "Questions"]


class Question(Protocol):
    """What waits: how large it is, and until when it may wait."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def deadline(self) -> float: ...


Q = TypeVar("Q", bound=Question)


@dataclass(frozen=True, slots=True)
class QuestionBounds:
    """``max_waiting`` and ``max_waiting_bytes`` count what has not been asked. ``reserved``: places for decisions."""

    max_in_flight: int
    max_waiting: int
    max_waiting_bytes: int
    reserved: int = 0

    @classmethod
    def of(cls, max_in_flight: int, max_waiting: int, max_waiting_bytes: int, *, decisions: bool) -> QuestionBounds:
        """An eighth of the places, at least one, is kept for decisions when they are asked for."""
        reserved = max(1, max_in_flight // 8) if decisions else 0
        return cls(max_in_flight, max_waiting, max_waiting_bytes, reserved)


class Line(Generic[Q]):
    """What one connection has for one service. ``pending`` counts what waits and what has been asked."""

    __slots__ = ("abreast", "asked", "most_at_once", "queued", "waiting")

    def __init__(self, abreast: int, most_at_once: int = 1) -> None:
        self.abreast = abreast
        self.most_at_once = most_at_once
        self.asked = 0
        self.queued = False
        self.waiting: deque[Q] = deque()

    @property
    def pending(self) -> int:
        """Questions that have no answer yet."""
        return self.asked + len(self.waiting)

    @property
    def ready(self) -> bool:
        """Whether its next question may be asked."""
        return bool(self.waiting) and self.asked < self.abreast


@dataclass(slots=True)
class Batch(Generic[Q]):
    """Questions of one service that are asked together, with the line of each."""

    items: list[tuple[Line[Q] | None, Q]]
    decision: bool = False


class Questions(Generic[Q]):
    """``services`` are named by the key that ``add`` is told; each has a ring of its lines that are ready."""

    def __init__(self, bounds: QuestionBounds) -> None:
        self.bounds = bounds
        self.in_flight = 0
        self.waiting = 0
        self.waiting_bytes = 0
        self._decisions: deque[Q] = deque()
        self._rings: dict[object, deque[Line[Q]]] = {}
        self._turns: deque[object] = deque()

    def fits(self, size_bytes: int) -> bool:
        """Whether one more may wait, or need not."""
        bounds = self.bounds
        if self.waiting >= bounds.max_waiting:
            return self.waiting == 0 and self.in_flight < bounds.max_in_flight
        return self.waiting_bytes + size_bytes <= bounds.max_waiting_bytes or self.waiting == 0

    def decide(self, question: Q) -> None:
        """A decision: before all messages. The caller has asked ``fits``."""
        self._decisions.append(question)
        self._came(question)

    def add(self, service: object, line: Line[Q], question: Q) -> None:
        """A message for ``service``, behind what its line holds. The caller has asked ``fits``."""
        line.waiting.append(question)
        self._came(question)
        self._enlist(service, line)

    def withdraw(self, line: Line[Q]) -> list[Q]:
        """Take back what has not been asked of a line; its place in the ring is given up when its turn comes."""
        gone = list(line.waiting)
        line.waiting.clear()
        self._went(gone)
        return gone

    def expired(self, line: Line[Q] | None, now: float) -> list[Q]:
        """Take back what has waited too long in a line (None: among the decisions)."""
        waiting = self._decisions if line is None else line.waiting
        gone = []
        while waiting and waiting[0].deadline <= now:
            gone.append(waiting.popleft())
        self._went(gone)
        return gone

    def next(self) -> tuple[object, Batch[Q]] | None:
        """What may be asked now, counted as asked: a service (None: a decision) and its batch; None: nothing."""
        bounds = self.bounds
        if self.in_flight >= bounds.max_in_flight:
            return None
        if self._decisions:
            question = self._decisions.popleft()
            self._went((question,))
            self.in_flight += 1
            return None, Batch([(None, question)], decision=True)
        if self.in_flight >= max(1, bounds.max_in_flight - bounds.reserved):
            return None
        while self._turns:
            service = self._turns.popleft()
            items = self._take(self._rings[service])
            if self._rings[service]:
                self._turns.append(service)
            else:
                del self._rings[service]
            if items:
                self.in_flight += 1
                return service, Batch(items)
        return None

    def done(self, service: object, batch: Batch[Q]) -> None:
        """A batch has its answer, or never will: its lines may go on."""
        self.in_flight -= 1
        for line, _ in batch.items:
            if line is not None:
                line.asked -= 1
                self._enlist(service, line)

    def _enlist(self, service: object, line: Line[Q]) -> None:
        if line.queued or not line.ready:
            return
        line.queued = True
        ring = self._rings.get(service)
        if ring is None:
            ring = self._rings[service] = deque()
            self._turns.append(service)
        ring.append(line)

    def _take(self, ring: deque[Line[Q]]) -> list[tuple[Line[Q] | None, Q]]:
        """The next questions of one service: one of each line in its turn, as many as are asked together."""
        items: list[tuple[Line[Q] | None, Q]] = []
        most = ring[0].most_at_once
        while ring and len(items) < most:
            line = ring.popleft()
            line.queued = False
            if not line.ready:
                continue
            question = line.waiting.popleft()
            self._went((question,))
            line.asked += 1
            items.append((line, question))
            if line.ready:
                line.queued = True
                ring.append(line)
        return items

    def _came(self, question: Q) -> None:
        self.waiting += 1
        self.waiting_bytes += question.size_bytes

    def _went(self, questions: Sequence[Q]) -> None:
        self.waiting -= len(questions)
        self.waiting_bytes -= sum(question.size_bytes for question in questions)
