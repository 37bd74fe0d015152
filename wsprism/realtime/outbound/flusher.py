"""The one writer of the process: takes frames out of every connection's queue and hands each transport one block.

Connections with something to send stand on two lists (``qos.DirtyLists``); slices of them are written, paced by
``qos.Pacer`` so that under load messages gather and writes get larger. It also watches what is blocked or closing:
a transport that makes no progress, a closing handshake that does not end. It knows no protocol and no actor.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from qos import DirtyLists, Pacer
from wsprism.realtime.outbound.outlet import Closing

if TYPE_CHECKING:
    from actors import Cancellable, Scheduler
    from wsprism.protocol.traces import MessageTrace
    from wsprism.realtime.outbound.outlet import Outlet

__all__ = ["SLICE_SIZE", "Flusher"]

_log = logging.getLogger("wsprism.connection")

SLICE_SIZE: Final = 256
WRITE_BUDGET_BYTES: Final = 32 * 1024
REFILLS_IN_SLICE: Final = 16
"""Connections whose sources are asked for more before a slice: each costs a large write then."""

WATCH_INTERVAL_S: Final = 0.05
MOST_TRACES: Final = 64
SURPLUS_LINGER_S: Final = 2.0
MOST_SURPLUS: Final = 256
"""Sockets whose session counts no more (refused, replaced, removed) have so long to read why, so many at once."""

VIOLATION_LINGER_S: Final = 0.25
"""How long a peer that broke the protocol may take to read why: its own Close can no longer be understood."""


class Flusher:
    """See the module. ``on_stall`` is called for a connection that made no progress for ``stall_timeout_s``.

    ``soon`` runs a callback before the loop looks for input again, behind the turns of the actors that fill queues
    (default: the scheduler's ``call_soon``).
    """

    def __init__(
        self,
        scheduler: Scheduler,
        pacer: Pacer,
        *,
        stall_timeout_s: float,
        on_stall: Callable[[Outlet], None],
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._soon = soon or scheduler.call_soon
        self._now = scheduler.now
        self._pacer = pacer
        self._dirty: DirtyLists[Outlet] = DirtyLists(SLICE_SIZE)
        self._scheduled = False
        self._flush_next: Callable[[], None] = self._flush_slice  # made once, not with every message
        self.holding = False
        """Whether the next slice waits for its time: who publishes meanwhile may do so just before it."""
        self._gathering: list[Callable[[], object]] = []
        self._held: dict[float, list[Outlet]] = {}
        self._thirsty: deque[Outlet] = deque()
        self._watched: dict[Outlet, None] = {}
        self._surplus: dict[Outlet, None] = {}
        self._watching: Cancellable | None = None
        self._stall_timeout_s = stall_timeout_s
        self._on_stall = on_stall
        self._traces: deque[tuple[Outlet, MessageTrace]] = deque()
        self.writes = 0
        self.pauses = 0

    def configure(self, pacer: Pacer, stall_timeout_s: float) -> None:
        """Take new settings; what is queued is kept."""
        self._pacer = pacer
        self._stall_timeout_s = stall_timeout_s

    def mark(self, outlet: Outlet, *, large: bool = False) -> None:
        """``outlet``'s queue has just become non-empty, or its ping is due.

        ``large``: a big room's publication did it.
        """
        if outlet.blocked or outlet.transport is None:
            return
        if outlet.hot_flush_s and not (outlet.hot_due or outlet.queue.urgent):
            self._hold(outlet)
            return
        self._dirty.mark(outlet, large)
        if not self._scheduled:
            self._schedule()

    def mark_all(self, outlets: list[Outlet], *, large: bool) -> None:
        """``mark`` each of ``outlets``: the members that one publication woke."""
        ready = [one for one in outlets if one.transport is not None and not one.blocked and not one.hot_flush_s]
        self._dirty.mark_all(ready, large)
        if len(ready) < len(outlets):
            for outlet in outlets:
                if outlet.hot_flush_s:
                    self.mark(outlet, large=large)
        if ready and not self._scheduled:
            self._schedule()

    def resume(self, outlet: Outlet) -> None:
        """The transport of a blocked connection has drained."""
        if not outlet.blocked:
            return
        outlet.blocked = False
        outlet.queue.set_congested(False)
        if outlet.closing is Closing.NO:
            self._watched.pop(outlet, None)
        if not outlet.queue.empty or outlet.closing is Closing.FLUSHING or outlet.ping_due:
            self.mark(outlet)
        elif outlet.sources:
            self.thirst(outlet)

    def thirst(self, outlet: Outlet) -> None:
        """``outlet`` has sources and nothing in its queue: it is offered more when its turn has come."""
        if outlet.thirsty or outlet.blocked or outlet.transport is None:
            return
        outlet.thirsty = True
        self._thirsty.append(outlet)
        if not self._scheduled:
            self._schedule()

    def begin_close(self, outlet: Outlet) -> None:
        """Flush ``outlet`` and send its Close; give up after the stall timeout."""
        linger_s = self._stall_timeout_s if outlet.linger else VIOLATION_LINGER_S
        outlet.deadline = self._now() + (min(linger_s, SURPLUS_LINGER_S) if outlet.surplus else linger_s)
        if outlet.transport is None:
            return
        if outlet.surplus:
            self._bound_surplus(outlet)
        self._watch(outlet)
        if not outlet.queue.empty:
            self.mark(outlet)
            return
        try:
            self._send_close(outlet)
        except Exception as error:
            self._break(outlet, error)

    def flush_now(self, outlet: Outlet) -> None:
        """Write what stands in its queue without waiting for its turn: a connection's first message."""
        try:
            self._flush(outlet)
        except Exception as error:
            self._break(outlet, error)

    def forget(self, outlet: Outlet) -> None:
        """The connection has ended."""
        self._watched.pop(outlet, None)
        self._surplus.pop(outlet, None)

    def _bound_surplus(self, outlet: Outlet) -> None:
        """One more that counts nowhere else; the oldest gives way when there are too many."""
        if len(self._surplus) >= MOST_SURPLUS:
            oldest = next(iter(self._surplus))
            del self._surplus[oldest]
            if oldest.transport is not None:
                oldest.transport.abort()
        self._surplus[outlet] = None

    def _schedule(self) -> None:
        self._scheduled = True
        wait_s = self._pacer.next_start(self._now())
        if wait_s > 0:
            self.holding = True
            self._scheduler.call_later(wait_s, self._end_hold)
        else:
            self._soon(self._flush_next)

    def before_next_slice(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` when ``holding`` ends: an actor that it gives a turn has it before the slice is written."""
        self._gathering.append(wake)

    def _end_hold(self) -> None:
        self.holding = False
        gathering = self._gathering
        if not gathering:
            self._flush_slice()
            return
        self._gathering = []
        for wake in gathering:
            wake()
        self._scheduler.call_soon(self._flush_slice)

    def _flush_slice(self) -> None:
        start = self._now()
        if self._thirsty:
            self._refill()
        for outlet in self._dirty.next_slice():
            try:
                self._flush(outlet)
            except Exception as error:
                self._break(outlet, error)
        self._pacer.slice_done(start, self._now())
        if self._dirty or self._thirsty:
            self._schedule()
        else:
            self._scheduled = False
        if self._traces:
            self._tell_written()

    def _refill(self) -> None:
        for _ in range(min(REFILLS_IN_SLICE, len(self._thirsty))):
            outlet = self._thirsty.popleft()
            outlet.thirsty = False
            if outlet.blocked:
                continue
            try:
                outlet.refill()
            except Exception as error:
                self._break(outlet, error)

    def when_written(self, outlet: Outlet | None, trace: MessageTrace) -> None:
        """Tell ``trace`` once all that is queued now has been handed to the transport, or the connection has ended."""
        if outlet is None:
            trace.written("nobody")
            return
        self._traces.append((outlet, trace))
        if len(self._traces) > MOST_TRACES:
            self._traces.popleft()[1].written("slow")
        if outlet.queue.empty:
            self._tell_written()

    def _tell_written(self) -> None:
        """An empty queue is what shows it: a reader that lags behind for ever is told of as slow, when others come."""
        for _ in range(len(self._traces)):
            outlet, trace = self._traces.popleft()
            if outlet.transport is None:
                trace.written("lost")
            elif outlet.queue.empty:
                trace.written("written")
            else:
                self._traces.append((outlet, trace))

    def _flush(self, outlet: Outlet) -> None:
        transport = outlet.transport
        if transport is None or outlet.blocked:
            return
        if outlet.ping_due:
            outlet.ping_due = False
            if outlet.closing is Closing.NO:
                transport.ping()
        queue = outlet.queue
        hot = outlet.hot_due or not outlet.hot_flush_s
        data = queue.take(WRITE_BUDGET_BYTES, hot=hot)
        if data:
            self.writes += 1
            transport.write(data)
            if transport.paused:
                self._block(outlet)
                return
        if not queue.empty:
            if hot or queue.urgent:
                self._dirty.mark(outlet, True)
            else:
                self._hold(outlet)
            return
        outlet.hot_due = False
        if outlet.sources:
            self.thirst(outlet)
        if outlet.closing is not Closing.FLUSHING:
            return
        self._send_close(outlet)

    def _hold(self, outlet: Outlet) -> None:
        """Its hot frames wait for the next tick of their interval; all connections of an interval share the tick."""
        interval_s = outlet.hot_flush_s
        held = self._held.get(interval_s)
        if held is None:
            held = self._held[interval_s] = []
            self._scheduler.call_later(interval_s - self._now() % interval_s, self._tick, interval_s)
        held.append(outlet)

    def _tick(self, interval_s: float) -> None:
        for outlet in self._held.pop(interval_s):
            if not outlet.hot_due:
                outlet.hot_due = True
                self.mark(outlet)

    def _send_close(self, outlet: Outlet) -> None:
        if outlet.closing is Closing.FLUSHING and outlet.transport is not None:
            outlet.closing = Closing.CLOSE_SENT
            outlet.transport.end(outlet.close_code, outlet.close_reason)
            if outlet.peer_has_closed:
                outlet.transport.close()

    def _block(self, outlet: Outlet) -> None:
        self.pauses += 1
        outlet.blocked = True
        outlet.queue.set_congested(True)
        outlet.progress_at = self._now()
        outlet.progress = outlet.transport.progress() if outlet.transport is not None else None
        self._watch(outlet)

    def _watch(self, outlet: Outlet) -> None:
        self._watched[outlet] = None
        if self._watching is None:
            self._watching = self._scheduler.call_later(WATCH_INTERVAL_S, self._look)

    def _look(self) -> None:
        """One look at all that are blocked or closing; there is one timer for all of them."""
        self._watching = None
        now = self._now()
        for outlet in list(self._watched):
            try:
                self._look_at(outlet, now)
            except Exception as error:
                self._break(outlet, error)
        if self._watched and self._watching is None:
            self._watching = self._scheduler.call_later(WATCH_INTERVAL_S, self._look)

    def _look_at(self, outlet: Outlet, now: float) -> None:
        transport = outlet.transport
        if transport is None:
            self._watched.pop(outlet, None)
        elif outlet.closing is not Closing.NO:
            if now >= outlet.deadline:
                transport.abort()
        elif (progress := transport.progress()) != outlet.progress:
            outlet.progress = progress
            outlet.progress_at = now
        elif now - outlet.progress_at >= self._stall_timeout_s:
            self._watched.pop(outlet, None)
            self._on_stall(outlet)

    def _break(self, outlet: Outlet, error: Exception) -> None:
        """Whatever goes wrong with one connection ends that connection, and is nobody else's business."""
        _log.error("a connection could not be written to", exc_info=error)
        self._watched.pop(outlet, None)
        if outlet.transport is not None:
            outlet.transport.abort()
