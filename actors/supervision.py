"""What is done about an actor that failed: directives, restart intensity and back-off, in OTP's terms.

Owns the decision data only; the cell carries it out. Pure: `now` is an argument, randomness is injected.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Directive", "RestartHistory", "Strategy", "Supervision", "always_restart"]


class Strategy(Enum):
    """Who is concerned when one child fails. Siblings never are."""

    ONE_FOR_ONE = "one_for_one"


class Directive(Enum):
    """What the supervisor does with the failed child."""

    RESTART = "restart"  # a new instance from the factory; the mailbox survives, the failing message does not
    STOP = "stop"
    ESCALATE = "escalate"  # stop the child and fail its parent with the same error
    RESUME = "resume"  # the same instance goes on with the next message


def always_restart(_error: Exception) -> Directive:
    """The default directive."""
    return Directive.RESTART


@dataclass(frozen=True, slots=True)
class Supervision:
    """How one child is supervised.

    More than `max_restarts` (intensity) failures within `within_s` (period) stop the child and fail its parent. The
    first `at_once` restarts of a period wait for the next turn of the loop only; the n-th after them waits
    `backoff_initial_s * backoff_factor ** (n - 1)`, at most `backoff_max_s`, longer by up to `jitter` of itself.

    `max_restarts` None is no intensity: the child is restarted for ever, ever later within a period, and its failures
    stay its own. That wants a back-off.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    directive: Callable[[Exception], Directive] = always_restart
    max_restarts: int | None = 3
    within_s: float = 5.0
    at_once: int = 0
    backoff_initial_s: float = 0.0
    backoff_max_s: float = 30.0
    backoff_factor: float = 2.0
    jitter: float = 0.0
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.max_restarts is None:
            if self.backoff_initial_s <= 0:
                raise ValueError("without max_restarts, backoff_initial_s must be above 0")
        elif self.max_restarts < 0:
            raise ValueError("max_restarts must not be negative")
        if self.within_s <= 0:
            raise ValueError("within_s must be positive")
        if min(self.backoff_initial_s, self.backoff_max_s, self.jitter) < 0 or self.backoff_factor < 1:
            raise ValueError("back-off times and jitter must not be negative, backoff_factor at least 1")

    def backoff_s(self, restart: int) -> float:
        """Seconds to wait before the `restart`-th restart (from 1) of the present period."""
        if self.backoff_initial_s == 0 or restart <= self.at_once:
            return 0.0
        delay_s = self.backoff_initial_s
        for _ in range(restart - self.at_once - 1):
            if delay_s >= self.backoff_max_s or self.backoff_factor == 1:
                break
            delay_s *= self.backoff_factor
        return min(delay_s, self.backoff_max_s) * (1.0 + self.jitter * self.random())


class RestartHistory:
    """The restarts of one child within its period."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def admit(self, supervision: Supervision, now: float) -> float | None:
        """Count a restart at `now`: seconds to wait before it, or None when it exceeds the intensity."""
        times = self._times
        while times and now - times[0] > supervision.within_s:
            times.popleft()
        most = supervision.max_restarts
        if most is not None and len(times) >= most:
            return None
        times.append(now)
        return supervision.backoff_s(len(times))
