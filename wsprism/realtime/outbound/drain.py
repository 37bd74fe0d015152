"""The farewell to all clients of a gateway that goes away: everybody is told at once, and closed in batches.

One timer for all of them. Who may still come in is the listener's business, and the end of the process is its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import CloseConnection, Draining
from wsprism.realtime.slices import SlicedWork

if TYPE_CHECKING:
    from actors import ActorRef, Cancellable, Scheduler
    from wsprism.policy.drain import DrainPlan
    from wsprism.realtime.outbound.sweeper import Sweepable

__all__ = ["Drain"]

BATCH_INTERVAL_S: Final = 0.05
_TOLD_AT_ONCE: Final = 128
_GOODBYE: Final = CloseConnection(CloseCode.GOING_AWAY, "draining")


class Drain:
    """``begin`` once. A connection goes on as before until its turn; then its queue is flushed and it is closed."""

    def __init__(self, scheduler: Scheduler, plan: DrainPlan) -> None:
        self._scheduler = scheduler
        self._plan = plan
        self._began_at = 0.0
        self._waiting: list[tuple[float, int, ActorRef]] = []
        self._timer: Cancellable | None = None
        self._slices = SlicedWork(lambda: scheduler.call_soon(self._slices.go_on))

    def begin(self, sockets: Iterable[Sweepable]) -> None:
        """Tell every one of ``sockets`` when to come back, and begin to close them."""
        self._began_at = self._scheduler.now()
        everybody = list(enumerate(sockets))
        self._slices.begin(everybody, self._tell, lambda _: self._begin_closing(), most=_TOLD_AT_ONCE)

    def _tell(self, some: Sequence[tuple[int, Sweepable]]) -> int:
        for number, socket in some:
            farewell = self._plan.farewell(number)
            connection = socket.session.connection
            connection.tell_control(Draining(farewell.reconnect_after_ms))
            self._waiting.append((farewell.close_after_ms / 1000, number, connection))
        return len(some)

    def _begin_closing(self) -> None:
        self._waiting.sort(reverse=True)
        self._close_batch()

    def stop(self) -> None:
        """Close no more."""
        self._slices.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_batch(self) -> None:
        self._timer = None
        elapsed_s = self._scheduler.now() - self._began_at
        waiting = self._waiting
        due: list[ActorRef] = []
        while waiting and waiting[-1][0] <= elapsed_s:
            due.append(waiting.pop()[2])
        self._slices.begin(due, _close)
        if waiting:
            self._timer = self._scheduler.call_later(BATCH_INTERVAL_S, self._close_batch)


def _close(some: Sequence[ActorRef]) -> int:
    for connection in some:
        connection.tell_control(_GOODBYE)
    return len(some)
