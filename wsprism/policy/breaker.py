"""When a server that fails is asked no more, and when one question may find out whether it works again.

Pure: time is an argument. One ``Breaker`` stands for one address; whoever asks takes a ``pass_`` first and settles it.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Breaker", "BreakerState"]


class BreakerState(Enum):
    """Closed: ask. Open: nothing is asked. Probing: one question is under way that decides."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens after ``failures`` in a row, for ``pause_s``; then one probe decides.

    A pass is the number of a period between two changes of state: what comes of a question of an earlier period tells
    nothing of the present one, and is ignored.
    """

    __slots__ = ("_failed_in_row", "_failures", "_open_until", "_pause_s", "_period", "_state")

    def __init__(self, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._state = BreakerState.CLOSED
        self._failed_in_row = 0
        self._open_until = 0.0
        self._period = 1

    @property
    def state(self) -> BreakerState:
        """Where it stands; open also means that the pause may be over and nobody has asked since."""
        return self._state

    def configure(self, failures: int, pause_s: float) -> None:
        """Take other bounds; an open one keeps its pause."""
        self._failures = failures
        self._pause_s = pause_s

    def admits(self, now: float) -> bool:
        """Whether ``ask`` would give a pass."""
        return self._state is BreakerState.CLOSED or (self._state is BreakerState.OPEN and now >= self._open_until)

    def ask(self, now: float) -> int | None:
        """A pass for one question, to be settled by ``worked``, ``failed`` or ``withdrawn``; None: do not ask."""
        if self._state is BreakerState.CLOSED:
            return self._period
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._move(BreakerState.PROBING)
            return self._period
        return None

    def worked(self, pass_: int) -> None:
        """The server gave an answer that could be used, or a no of its own."""
        if pass_ == self._period:
            self._failed_in_row = 0
            if self._state is BreakerState.PROBING:
                self._move(BreakerState.CLOSED)

    def failed(self, pass_: int, now: float) -> None:
        """The server was of no use."""
        if pass_ != self._period:
            return
        self._failed_in_row += 1
        if self._state is BreakerState.PROBING or self._failed_in_row >= self._failures:
            self._open(now + self._pause_s)

    def withdrawn(self, pass_: int, now: float) -> None:
        """The question was given up before it told anything: another one may probe."""
        if pass_ == self._period and self._state is BreakerState.PROBING:
            self._open(now)

    def pause(self, pass_: int, until: float) -> None:
        """The server asked for a pause of its own (429 and 503 with Retry-After)."""
        if pass_ == self._period:
            self._open(until)

    def _open(self, until: float) -> None:
        self._open_until = until
        self._failed_in_row = 0
        self._move(BreakerState.OPEN)

    def _move(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
