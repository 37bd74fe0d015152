"""Tools for testing actors without sleeping: a manual clock and a probe.

Owns `ManualScheduler` and `Probe`. For tests only; works without a running loop, except for tasks and asks.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

from actors.actor import Actor
from actors.messages import Terminated
from actors.ref import ActorRef
from actors.system import ActorSystem

__all__ = ["ManualScheduler", "Probe"]

T = TypeVar("T")


class _Entry:
    __slots__ = ("args", "callback", "cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualScheduler:
    """A scheduler whose clock stands still until it is advanced."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._later: list[tuple[float, int, _Entry]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> _Entry:
        entry = _Entry(callback, args)
        heapq.heappush(self._later, (self._now + max(0.0, delay_s), next(self._order), entry))
        return entry

    def create_task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of the running loop: time in it is the loop's, not the manual clock's."""
        return asyncio.get_running_loop().create_task(coro)

    @property
    def timers(self) -> int:
        """Timers that are set and not cancelled."""
        return sum(not entry.cancelled for _, _, entry in self._later)

    def run_once(self) -> int:
        """Run what `call_soon` has now, not what that adds; returns how many callbacks ran."""
        ran = len(self._soon)
        for _ in range(ran):
            callback, args = self._soon.popleft()
            callback(*args)
        return ran

    def run_until_idle(self, limit: int = 100_000) -> int:
        """Run callbacks, and timers that are due, until none is left; RuntimeError after `limit` of them."""
        ran = 0
        while self._soon or self._release(self._now):
            ran += self.run_once()
            if ran > limit:
                raise RuntimeError(f"not idle after {limit} callbacks")
        return ran

    def advance(self, seconds: float) -> None:
        """Move the clock forward; whatever falls due runs in order, each at its own time."""
        end = self._now + seconds
        self.run_until_idle()
        while self._later and self._later[0][0] <= end:
            self._now = max(self._now, self._later[0][0])
            self.run_until_idle()
        self._now = end

    def _release(self, now: float) -> bool:
        """Hand over the timers that are due; whether there was one."""
        released = False
        while self._later and self._later[0][0] <= now:
            entry = heapq.heappop(self._later)[2]
            if not entry.cancelled:
                self._soon.append((self._run_timer, (entry,)))
                released = True
        return released

    def _run_timer(self, entry: _Entry) -> None:
        if not entry.cancelled:
            entry.callback(*entry.args)


class Probe(Actor):
    """An actor that records what it is told, and answers asks with `answer(message)`.

    Spawns itself in `system`. `expect` drives a manual scheduler first; under a real loop, let the loop run before.
    """

    def __init__(
        self,
        system: ActorSystem,
        name: str | None = None,
        answer: Callable[[Any], object] | None = None,
    ) -> None:
        self._system = system
        self._answer = answer
        self.received: list[Any] = []
        self.ref: ActorRef = system.spawn(lambda: self, name=name)

    def receive(self, message: Any) -> object:
        self.received.append(message)
        return None if self._answer is None else self._answer(message)

    def watch(self, ref: ActorRef) -> None:
        """Have the end of `ref` recorded as `Terminated`."""
        self.context.watch(ref)

    def expect(self, *messages: Any) -> None:
        """Assert that exactly these messages came, in this order, since the last look; forgets them."""
        self._run()
        received, self.received = self.received, []
        assert received == list(messages), f"{self.ref.path} expected {list(messages)!r}, received {received!r}"

    def expect_nothing(self) -> None:
        """Assert that no message came since the last look."""
        self.expect()

    def expect_terminated(self, ref: ActorRef, reason: str | None = None) -> None:
        """Assert that the only message is the end of `ref` (for `reason`, if given); forgets it."""
        self._run()
        received, self.received = self.received, []
        ended = [message for message in received if isinstance(message, Terminated) and message.ref is ref]
        assert len(ended) == len(received) == 1, f"expected the end of {ref.path}, received {received!r}"
        assert reason in (None, ended[0].reason), f"expected reason {reason!r}, got {ended[0].reason!r}"

    def _run(self) -> None:
        if isinstance(self._system.scheduler, ManualScheduler):
            self._system.scheduler.run_until_idle()
