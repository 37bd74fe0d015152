"""Messages that take their time: those of one connection to one service are answered one after the other.

A line exists while a handler waits for something; messages behind it wait too, plain handlers' ones included. Nothing
else of the connection waits, and nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from wsprism.effects import Asker, Effect, Fail
from wsprism.plugin import Context
from wsprism.plugin.answers import FROM_MESSAGES, checked
from wsprism.plugin.service import Handler
from wsprism.plugin.words import RAISED, where_of
from wsprism.services.conduct import ENDED, FAULT, SUSPENDED, TOO_SLOW, Conduct
from wsprism.services.python.engine import Engine, blame
from wsprism.services.python.watched import watched

__all__ = ["MAX_PENDING", "Lines"]

MAX_PENDING: Final = 16
"""Messages of one connection that have no answer yet."""

INSIST_S: Final = 1.0
"""After it was cancelled, a handler has so long to clean up."""

Job = tuple[Handler, Context, tuple[Any, ...], Asker]


class Lines:
    """Those of one service, by connection."""

    def __init__(self, engine: Engine, conduct: Conduct, timeout_s: float) -> None:
        self._engine = engine
        self._conduct = conduct
        self._timeout_s = timeout_s
        self.waiting: dict[object, deque[Job]] = {}
        """By connection, while something of it has no answer yet: what waits behind that."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Lines now."""
        return len(self.waiting)

    def is_full(self, connection: object) -> bool:
        """Whether no more of it may wait."""
        waiting = self.waiting.get(connection)
        return waiting is not None and len(waiting) + 1 >= MAX_PENDING

    def enter(self, connection: object, job: Job) -> None:
        """Put a message behind those that wait."""
        waiting = self.waiting.get(connection)
        if waiting is not None:
            waiting.append(job)
        else:
            self.waiting[connection] = deque([job])
            self._go_on(connection)

    def end(self) -> None:
        """Its tenant goes: nothing that waits is begun, what is under way is cancelled."""
        for waiting in self.waiting.values():
            while waiting:
                waiting.popleft()[3].answer([ENDED])
        for task in self._tasks:
            task.cancel()

    def _go_on(self, connection: object) -> None:
        """Answer what can be answered at once; the line goes when it is empty."""
        waiting = self.waiting[connection]
        while waiting:
            handler, context, data, asker = waiting.popleft()
            if not asker.listens:
                waiting.clear()  # it has ended, and what it said that was not begun ends with it
                break
            host = self._engine.host
            pass_ = None if host is None else self._conduct.begin(host.now())
            if pass_ is None:
                asker.answer([SUSPENDED])
            elif handler.is_async:
                self._begin(connection, pass_, handler, context, data, asker)
                return
            else:
                answer = self._engine.call(self._conduct, pass_, handler.function, FROM_MESSAGES, context, *data)
                asker.answer([answer] if isinstance(answer, Fail) else answer)
        del self.waiting[connection]

    def _begin(
        self,
        connection: object,
        pass_: int,
        handler: Handler,
        context: Context,
        data: tuple[Any, ...],
        asker: Asker,
    ) -> None:
        engine, conduct, function = self._engine, self._conduct, handler.function
        host = engine.host
        assert host is not None, "nothing is called before it is open"
        began = host.now()
        settled = False

        def settle(effects: list[Effect]) -> None:
            nonlocal settled
            settled = True
            timer.cancel()
            asker.answer(effects)
            self._go_on(connection)

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            effects = self._outcome(task, pass_, function, host.now() - began, counts=not settled)
            if not settled:
                settle(effects)

        def expire() -> None:
            task.cancel()
            host.call_later(INSIST_S, lambda: task.cancel() if not task.done() else None)
            words = f"{where_of(function)}: took longer than {round(self._timeout_s * 1000)} ms"
            conduct.failed(pass_, "timeout", words)
            settle([TOO_SLOW])

        def held(took_s: float) -> None:
            conduct.held(took_s, where_of(function))

        timer = host.call_later(self._timeout_s, expire)
        task: asyncio.Task[Any] = host.create_task(_stepped(function, context, data, held, lambda: not engine.is_open))
        self._tasks.add(task)
        task.add_done_callback(done)

    def _outcome(
        self, task: asyncio.Task[Any], pass_: int, function: Callable[..., Any], took_s: float, *, counts: bool
    ) -> list[Effect]:
        """What has come of it. What comes too late is looked at, so that nothing complains, and left alone."""
        conduct = self._conduct
        try:
            returned = task.result()
        except asyncio.CancelledError as error:
            if counts and self._engine.is_open:
                conduct.failed(pass_, "exception", f"{where_of(function)}: it was cancelled", error)
                return [FAULT]
            return [ENDED]
        except RAISED as error:
            if counts:
                blame(conduct, pass_, function, error, 0.0)
            return [FAULT]
        if not counts:
            return []
        host = self._engine.host
        assert host is not None, "nothing is called before it is open"
        began = time.perf_counter()
        try:
            effects = checked(returned, FROM_MESSAGES, host.framing, host.max_bytes)
        except RAISED as error:
            blame(conduct, pass_, function, error, time.perf_counter() - began)
            return [FAULT]
        conduct.worked(pass_, len(effects), took_s)
        return effects


async def _stepped(
    function: Callable[..., Any],
    context: Context,
    data: tuple[Any, ...],
    held: Callable[[float], object],
    is_over: Callable[[], bool],
) -> Any:
    try:
        return await watched(function(context, *data), held, is_over)
    except (SystemExit, KeyboardInterrupt) as error:  # the loop itself would take it for its own end
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
