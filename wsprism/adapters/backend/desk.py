"""Where a tenant's questions to its backend wait, are asked and get their answers.

Bounded in what is under way and in what waits; a few tasks carry the questions, as many as are under way at once and
none when nothing is. Whoever asks gives a callback, which is called once: with what the answer was made into, or with
why there is none. Callbacks come between turns of the loop, never from within ``ask``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from actors import Cancellable, Scheduler
from wsprism.adapters.backend.endpoint import Endpoint, Told, fresh_id
from wsprism.policy.questions import Batch, Line, QuestionBounds, Questions
from wsprism.ports import CallResult, Unanswered
from wsprism.realtime.histogram import Histogram

__all__ = ["Asked", "BackendCounters", "Desk", "Service"]

_SWEEP_S: Final = 0.25
"""How often what has waited too long is looked for."""

Answered = Callable[[Any], object]


class BackendCounters:
    """One tenant's questions since start, by kind and result."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, CallResult]] = Counter()
        self.duration = Histogram()


class Asked(Protocol):
    """One question as the desk sees it. A batch is made of several of one service."""

    @property
    def service(self) -> Service: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def answered(self) -> Answered: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def deadline(self) -> float: ...


class Service(Protocol):
    """How questions of one kind are put into a body and how its answer is taken apart."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def kind(self) -> str: ...

    def body(self, question_id: str, asked: Sequence[Any]) -> bytes:
        """The body of one call for all of ``asked``."""
        ...

    def decode(self, count: int) -> Callable[[int, bytes], list[Any] | str]:
        """Makes ``count`` answers of a status and a body, or says what is wrong with it."""
        ...


class Desk:
    """One per tenant. ``outage`` is told of each result, for the log; ``closed`` answers everything that waits."""

    def __init__(
        self,
        bounds: QuestionBounds,
        scheduler: Scheduler,
        counters: BackendCounters,
        outage: Callable[[Endpoint, Unanswered | None], object],
    ) -> None:
        self.questions: Questions[Any] = Questions(bounds)
        self.counters = counters
        self._scheduler = scheduler
        self._outage = outage
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting = False
        self._lines: dict[Line[Any], Service] = {}
        self._sweeping: Cancellable | None = None
        self._closed = False

    def ask(self, line: Line[Any] | None, asked: Asked) -> CallResult | None:
        """Have a question asked; ``line`` None: a decision. What it returns is why it will not be, at once."""
        service = asked.service
        refused = None
        if self._closed or not self.questions.fits(asked.size_bytes):
            refused = CallResult.OVERLOADED
        elif not service.endpoint.breaker.admits(self._scheduler.now()):
            refused = CallResult.OPEN
        if refused is not None:
            self.counters.calls[asked.service.kind, refused] += 1
            return refused
        if line is None:
            self.questions.decide(asked)
        else:
            self.questions.add(service, line, asked)
            self._lines[line] = service
        self._sweep_later()
        if not self._starting:
            self._starting = True
            self._scheduler.call_soon(self._start)
        return None

    def withdraw(self, line: Line[Any]) -> None:
        """Its connection has ended: what has not been asked never will be, and nobody is told."""
        self.questions.withdraw(line)
        self._lines.pop(line, None)

    async def close(self) -> None:
        """Ask nothing more; what is under way and what waits gets no answer."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        """As many carriers as there are places; each goes on until nothing may be asked."""
        self._starting = False
        while (found := self.questions.next()) is not None:
            task = self._scheduler.create_task(self._carry(*found))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, key: object, batch: Batch[Any]) -> None:
        while True:
            try:
                await self._ask(batch)
            finally:
                self.questions.done(key, batch)
            found = self.questions.next()
            if found is None or self._closed:
                return
            key, batch = found

    async def _ask(self, batch: Batch[Any]) -> None:
        several: list[Asked] = [one for _, one in batch.items]
        service = several[0].service
        started = self._scheduler.now()
        question_id = fresh_id()
        traceparent = next((one.traceparent for one in several if one.traceparent is not None), None)
        headers = {} if traceparent is None else {"traceparent": traceparent}
        endpoint: Endpoint = service.endpoint
        answer = await endpoint.ask(
            question_id, service.body(question_id, several), service.decode(len(several)), headers
        )
        if isinstance(answer, Told):
            self._outage(endpoint, None)
            self._count(several, CallResult.OK, started)
            for one, value in zip(several, answer.value, strict=True):
                one.answered(value)
            return
        self._outage(endpoint, answer)
        self._count(several, answer.result, started)
        for one in several:
            one.answered(answer)
        if not endpoint.breaker.admits(self._scheduler.now()):
            self._refuse_waiting(endpoint)

    def _count(self, several: Sequence[Any], result: CallResult, started: float) -> None:
        self.counters.calls[several[0].service.kind, result] += len(several)
        self.counters.duration.record(self._scheduler.now() - started)

    def _refuse_waiting(self, endpoint: Endpoint) -> None:
        """Nothing is asked of it for a while: who waits for it is told at once."""
        refusal = Unanswered(CallResult.OPEN, "it failed too often, and is not asked for a while")
        for line, service in list(self._lines.items()):
            if service.endpoint is endpoint and line.waiting:
                for one in self.questions.withdraw(line):
                    self.counters.calls[one.service.kind, refusal.result] += 1
                    one.answered(refusal)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = self._scheduler.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """What has waited longer than its time is given up; lines that hold nothing are forgotten."""
        self._sweeping = None
        now = self._scheduler.now()
        late = Unanswered(CallResult.TIMEOUT, "it waited too long for its turn")
        for line in list(self._lines):
            for one in self.questions.expired(line, now):
                self._give_up(one, late)
            if not line.pending:
                del self._lines[line]
        for one in self.questions.expired(None, now):
            self._give_up(one, late)
        if self.questions.waiting:
            self._sweep_later()

    def _give_up(self, one: Any, why: Unanswered) -> None:
        self.counters.calls[one.service.kind, why.result] += 1
        one.answered(why)
