"""The farewell to all clients of a gateway that goes away: everybody is told at once, and closed in batches.

One timer for all of them. Who may still come in is the listener's business, and the end of the process is its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import CloseConnection, Draining

if TYPE_CHECKING:
    from actors import ActorRef, Cancellable, Scheduler
    from wsprism.policy.drain import DrainPlan
    from wsprism.realtime.outbound.sweeper import Sweepable

__all__ = ["Drain"]

BATCH_INTERVAL_S: Final = 0.05
_GOODBYE: Final = CloseConnection(CloseCode.GOING_AWAY, "draining")


class Drain:
    """``begin`` once. A connection goes on as before until its turn; then its queue is flushed and it is closed."""

    def __init__(self, scheduler: Scheduler, plan: DrainPlan) -> None:
        self._scheduler = scheduler
        self._plan = plan
        self._began_at = 0.0
        self._waiting: list[tuple[float, int, ActorRef]] = []
        self._timer: Cancellable | None = None

    def begin(self, sockets: Iterable[Sweepable]) -> None:
        """Tell every one of ``sockets`` when to come back, and begin to close them."""
        self._began_at = self._scheduler.now()
        for number, socket in enumerate(sockets):
            farewell = self._plan.farewell(number)
            connection = socket.session.connection
            connection.tell_control(Draining(farewell.reconnect_after_ms))
            self._waiting.append((farewell.close_after_ms / 1000, number, connection))
        self._waiting.sort(reverse=True)
        self._close_batch()

    def stop(self) -> None:
        """Close no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_batch(self) -> None:
        self._timer = None
        elapsed_s = self._scheduler.now() - self._began_at
        waiting = self._waiting
        while waiting and waiting[-1][0] <= elapsed_s:
            waiting.pop()[2].tell_control(_GOODBYE)
        if waiting:
            self._timer = self._scheduler.call_later(BATCH_INTERVAL_S, self._close_batch)
