"""Time, callbacks and tasks as the runtime needs them.

Owns the `Scheduler` port and its implementation over an asyncio loop; the manual one for tests is in
`actors.testing`. Knows nothing of actors. Called by the system only.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["Cancellable", "LoopScheduler", "Scheduler"]

T = TypeVar("T")


class Cancellable(Protocol):
    """Something that was put off; `cancel` is idempotent and harmless after it ran."""

    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """What an actor system asks of its surroundings. All calls come from one thread."""

    def now(self) -> float:
        """Monotonic time in seconds."""
        ...

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object:
        """Run `callback` after the caller returned, in the order of the calls."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Cancellable:
        """Run `callback` once after `delay_s` seconds, unless cancelled."""
        ...

    def create_task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `coro` beside the caller."""
        ...


class LoopScheduler:
    """The scheduler over an asyncio (or uvloop) event loop.

    Callbacks run in one context of their own, so that no caller's context variables leak into an actor's turn.
    """

    __slots__ = ("_context", "_loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = contextvars.copy_context()
        self.now: Callable[[], float] = time.monotonic  # uvloop's own clock has steps of a millisecond

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object:
        if not args:  # as with every message: nothing to be gathered for the call
            return self._loop.call_soon(callback, context=self._context)
        return self._loop.call_soon(callback, *args, context=self._context)

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Cancellable:
        return self._loop.call_later(delay_s, callback, *args, context=self._context)

    def create_task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(coro)
