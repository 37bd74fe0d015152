"""When a service that keeps failing is left alone, and when one message may find out whether it works again.

Pure: time is an argument. One ``Suspension`` stands for one service; whoever calls that takes a pass first and settles
it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Suspension"]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0


class Suspension:
    """Begins with ``faults`` in a row, or within ``within_s`` where that is given; lasts 1 s, then one call decides.

    A fault of that one doubles the pause, up to 60 s. A pass is the number of a period between two changes: what comes
    of a call of an earlier period tells nothing of the present one, and is ignored.
    """

    __slots__ = ("_faults", "_pause_s", "_probing", "_until", "_within_s", "period", "seen", "suspended")

    def __init__(self, faults: int = 10, within_s: float | None = None) -> None:
        self.suspended = False
        """Until the call that decides has worked."""
        self._faults = faults
        self._within_s = within_s
        self.seen: deque[float] = deque()
        """When the faults were that count now."""
        self._pause_s = FIRST_PAUSE_S
        self._until = 0.0
        self._probing = False
        self.period = 1
        """The pass of every call, while it is not suspended."""

    def ask(self, now: float) -> int | None:
        """A pass for one call, to be settled by ``worked``, ``failed`` or ``withdrawn``; None: do not call."""
        if self.suspended:
            if self._probing or now < self._until:
                return None
            self._probing = True
            self.period += 1
        return self.period

    def worked(self, pass_: int) -> None:
        """The call gave an answer that can be used, or a refusal of its own."""
        if pass_ != self.period:
            return
        if self.suspended:
            self.suspended = self._probing = False
            self.period += 1
            self._pause_s = FIRST_PAUSE_S
            self.seen.clear()
        elif self._within_s is None:
            self.seen.clear()

    def failed(self, pass_: int, now: float) -> bool:
        """The call was a fault. Whether that suspends the service now: it was not, or not any more, before."""
        if pass_ != self.period:
            return False
        if self.suspended:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._suspend(now)
            return False
        seen = self.seen
        seen.append(now)
        while self._within_s is not None and seen[0] < now - self._within_s:
            seen.popleft()
        if len(seen) < self._faults:
            return False
        self._suspend(now)
        return True

    def withdrawn(self, pass_: int) -> None:
        """The call told nothing of the service: another one may decide."""
        if pass_ == self.period:
            self._probing = False

    def _suspend(self, now: float) -> None:
        self.suspended = True
        self._probing = False
        self._until = now + self._pause_s
        self.period += 1
        self.seen.clear()
