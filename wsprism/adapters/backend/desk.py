"""Where a tenant's questions to its backend wait, are asked and get their answers.

Bounded in what is under way and in what waits. Whoever asks gives a callback, which is called once: with what the
answer was made into, or with why there is none. Callbacks come between turns of the loop, never from within ``ask``.
How a question reaches the backend is its service's ``Route``: HTTP or a stream.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from actors import Cancellable, Scheduler
from wsprism.policy.questions import Batch, Line, QuestionBounds, Questions
from wsprism.ports import CallResult, Unanswered
from wsprism.protocol.traces import CallTrace
from wsprism.realtime.histogram import Histogram

__all__ = ["Answered", "Asked", "BackendCounters", "Desk", "Route", "Service", "begin_trace", "end_trace"]

_SWEEP_S: Final = 0.25
"""How often what has waited too long is looked for."""

_OPEN: Final = Unanswered(CallResult.OPEN, "it failed too often, and is not asked for a while")
_LATE: Final = Unanswered(CallResult.TIMEOUT, "it waited too long for its turn")

_GONE: Final = Unanswered(CallResult.UNREACHABLE, "the tenant has no such backend any more")

Answered = Callable[[Any], object]
Decode = Callable[[int, bytes], list[Any] | str]


class BackendCounters:
    """One tenant's questions since start, by kind and result, and how long those took that were asked."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, CallResult]] = Counter()
        self.duration = Histogram()


class Asked(Protocol):
    """One question as the desk sees it."""

    @property
    def service(self) -> Service: ...
    @property
    def trace(self) -> CallTrace | None: ...
    @property
    def answered(self) -> Answered: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def deadline(self) -> float: ...


class Service(Protocol):
    """How questions of one kind are put into a body and how its answer is taken apart."""

    @property
    def route(self) -> Route: ...
    @property
    def kind(self) -> str: ...

    def body(self, asked: Sequence[Any], question_id: str, traceparent: str | None = None) -> bytes:
        """The body of one call for all of ``asked``; ``traceparent`` stands in it where nothing else carries it."""
        ...

    def decode(self, count: int) -> Decode:
        """Makes ``count`` answers of a status and a body, or says what is wrong with it."""
        ...


class Route(Protocol):
    """A way to the backend."""

    def admits(self) -> bool:
        """Whether anything would be asked now; else it is told ``OPEN`` at once."""
        ...

    def split(self, several: Sequence[Any]) -> Sequence[Sequence[int]]:
        """Positions of ``several`` that go to the same place, in their order."""
        ...

    def send(self, service: Any, several: Sequence[Any], done: Callable[[list[Any] | Unanswered], object]) -> None:
        """Ask. ``done`` is called once, in a later turn of the loop, unless the route is closed first."""
        ...


def begin_trace(asked: Sequence[Asked]) -> CallTrace | None:
    """The trace of a call that goes out for all of ``asked``: of the first that is watched."""
    traces = [one.trace for one in asked if one.trace is not None]
    if not traces:
        return None
    traces[0].begin(traces[1:])
    return traces[0]


def end_trace(
    trace: CallTrace | None, service: Service, asked: Sequence[Asked], result: list[Any] | Unanswered, way: str
) -> None:
    """``result`` is what came of it."""
    if trace is not None:
        said = result.result if isinstance(result, Unanswered) else CallResult.OK
        trace.done(kind=service.kind, way=way, result=said.value, questions=len(asked))


class Desk:
    """One per tenant."""

    def __init__(self, bounds: QuestionBounds, scheduler: Scheduler, counters: BackendCounters) -> None:
        self.questions: Questions[Any] = Questions(bounds)
        self.counters = counters
        self._scheduler = scheduler
        self._starting = False
        self._lines: dict[Line[Any], Route] = {}
        self._under_way: dict[int, list[Asked]] = {}
        self._begun = 0
        self._sweeping: Cancellable | None = None
        self._closed = False

    def ask(self, line: Line[Any] | None, asked: Asked) -> CallResult | None:
        """Have a question asked; ``line`` None: a decision. What it returns is why it will not be, at once."""
        refused = None
        if self._closed or not self.questions.fits(asked.size_bytes):
            refused = CallResult.OVERLOADED
        elif not asked.service.route.admits():
            refused = CallResult.OPEN
        if refused is not None:
            self.counters.calls[asked.service.kind, refused] += 1
            return refused
        if line is None:
            self.questions.decide(asked)
        else:
            self.questions.add(asked.service, line, asked)
            self._lines[line] = asked.service.route
        self._sweep_later()
        self._start_soon()
        return None

    def withdraw(self, line: Line[Any]) -> None:
        """Its connection has ended: what has not been asked never will be, and nobody is told."""
        self.questions.withdraw(line)
        self._lines.pop(line, None)

    def close(self) -> None:
        """Ask nothing more; who waits is told that there is no answer. Idempotent."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        under_way, self._under_way = self._under_way, {}
        unanswered = [one for asked in under_way.values() for one in asked]
        for line in (None, *self._lines):
            unanswered += self.questions.expired(line, math.inf)
        for one in unanswered:
            self._give_up(one, _GONE)

    def _start_soon(self) -> None:
        if not self._starting:
            self._starting = True
            self._scheduler.call_soon(self._start)

    def _start(self) -> None:
        """Ask as much as there are places for."""
        self._starting = False
        while not self._closed and (found := self.questions.next()) is not None:
            self._begin(*found)

    def _begin(self, key: object, batch: Batch[Any]) -> None:
        several: list[Asked] = [one for _, one in batch.items]
        service = several[0].service
        route = service.route
        parts = route.split(several) if len(several) > 1 else ((0,),)
        self.questions.in_flight += len(parts) - 1
        started = self._scheduler.now()
        for positions in parts:
            part = batch if len(parts) == 1 else Batch([batch.items[at] for at in positions])
            asked = several if len(parts) == 1 else [several[at] for at in positions]

            self._begun += 1

            def done(answer: list[Any] | Unanswered, part: Batch[Any] = part, number: int = self._begun) -> None:
                asked = self._under_way.pop(number, None)
                if asked is not None:
                    self._end(key, part, asked, answer, started)

            self._under_way[self._begun] = asked
            route.send(service, asked, done)

    def _end(
        self, key: object, batch: Batch[Any], asked: list[Asked], answer: list[Any] | Unanswered, started: float
    ) -> None:
        self.questions.done(key, batch)
        self.counters.duration.record(self._scheduler.now() - started)
        service = asked[0].service
        if isinstance(answer, Unanswered):
            self.counters.calls[service.kind, answer.result] += len(asked)
            for one in asked:
                one.answered(answer)
            if not service.route.admits():
                self._refuse_waiting(service.route)
        else:
            self.counters.calls[service.kind, CallResult.OK] += len(asked)
            for one, value in zip(asked, answer, strict=True):
                one.answered(value)
        self._start_soon()

    def _refuse_waiting(self, route: Route) -> None:
        """Nothing is asked there for a while: who waits for it is told at once."""
        for line in [line for line, other in self._lines.items() if other is route and line.waiting]:
            for one in self.questions.withdraw(line):
                self._give_up(one, _OPEN)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = self._scheduler.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """What has waited longer than its time is given up; lines that hold nothing are forgotten."""
        self._sweeping = None
        now = self._scheduler.now()
        for line in list(self._lines):
            for one in self.questions.expired(line, now):
                self._give_up(one, _LATE)
            if not line.pending:
                del self._lines[line]
        for one in self.questions.expired(None, now):
            self._give_up(one, _LATE)
        if self.questions.waiting or self._lines:
            self._sweep_later()

    def _give_up(self, one: Asked, why: Unanswered) -> None:
        self.counters.calls[one.service.kind, why.result] += 1
        one.answered(why)
