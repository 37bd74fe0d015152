"""Which messages and connections are watched on their way, for the histograms and for traces.

One sampler serves a process. A message that is not sampled costs a decrement of ``remaining`` and a comparison, and
allocates nothing. Clients ask for a sample by a sampled ``traceparent``; a token bucket bounds what they get.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wsprism.policy.ratelimit import TokenBucket
from wsprism.protocol.trace import TraceParent, parse_traceparent
from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace, SpanRef
from wsprism.realtime.histogram import Histogram

if TYPE_CHECKING:
    from wsprism.ports import Tracer
    from wsprism.realtime.session import Session

__all__ = ["Sampler", "new_trace_id"]

TIMED_RATIO: Final = 0.01
"""Share of messages that is timed for the histograms at least, whatever is traced."""

ASKED_FOR_RPS: Final = 10.0
"""How many traces a second clients may ask for in all, beyond the share that is taken anyway."""


class Sampler:
    """``tracer`` gets ``traced_ratio`` of the messages and connections. ``dispatch`` and ``delivery`` are the durations
    of sampled messages by lane, until handled by the connection and until written to a member's socket."""

    def __init__(
        self,
        tracer: Tracer | None = None,
        traced_ratio: float = 0.0,
        *,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.dispatch = {lane: Histogram() for lane in ("ext", "hot")}
        self.delivery = {lane: Histogram() for lane in ("ext", "hot")}
        self._tracer = tracer
        self._traced_ratio = traced_ratio if tracer is not None else 0.0
        self._ratio = max(self._traced_ratio, TIMED_RATIO)
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._chance = chance
        self._asked_for = TokenBucket(ASKED_FOR_RPS, ASKED_FOR_RPS, clock_ns() / 1e9)
        self.remaining = 0
        """Messages that pass before the next sample; whoever handles a message takes one off."""
        self._draw()

    def begin(self, tenant: str, session: Session) -> MessageTrace:
        """The sample that ``remaining`` has come down to."""
        self._draw()
        return self._message(tenant, session, traced=self._chance() * self._ratio < self._traced_ratio)

    def follow(self, current: MessageTrace | None, text: str, tenant: str, session: Session) -> MessageTrace | None:
        """The sample of a message whose ``trace`` field is ``text``: ``current``, or one that the client asked for."""
        parent = parse_traceparent(text)
        if parent is None:
            return current
        if current is None and self._may_ask(parent):
            current = self._message(tenant, session, traced=True)
        if current is not None:
            current.parent = parent
        return current

    def connection(self, parent: TraceParent | None) -> ConnectionTrace | None:
        """The trace of a connection whose handshake begins, when it is sampled."""
        tracer = self._tracer
        if tracer is None:
            return None
        if self._chance() >= self._traced_ratio and (parent is None or not self._may_ask(parent)):
            return None
        ref = SpanRef(new_trace_id(parent), secrets.token_hex(8))
        clock_ns, wall_ns = self._clock_ns, self._wall_ns()
        return ConnectionTrace(ref, parent, clock_ns=clock_ns, wall_ns=wall_ns, on_done=tracer.connection_done)

    def call(self, of: SpanRef | None) -> CallTrace | None:
        """The trace of a call to a backend about something whose span is ``of``; None: that is not traced."""
        tracer = self._tracer
        if tracer is None or of is None:
            return None
        return CallTrace(of, clock_ns=self._clock_ns, now_ns=self._wall_ns, on_done=tracer.call_done)

    def _message(self, tenant: str, session: Session, *, traced: bool) -> MessageTrace:
        trace = session.trace
        return MessageTrace(
            tenant,
            session.trace_id,
            trace.ref if trace is not None else None,
            clock_ns=self._clock_ns,
            wall_ns=self._wall_ns(),
            on_dispatched=self._dispatched,
            on_done=self._traced if traced else self._timed,
            traced=traced,
        )

    def _may_ask(self, parent: TraceParent) -> bool:
        return self._tracer is not None and parent.sampled and self._asked_for.take(self._clock_ns() / 1e9)

    def _draw(self) -> None:
        """An uneven step, so that periodic traffic is not sampled at one phase only; its mean is ``1 / ratio``."""
        self.remaining = int(self._chance() * (2 / self._ratio - 1))

    def _dispatched(self, trace: MessageTrace) -> None:
        self.dispatch[trace.lane].record(trace.elapsed_s)

    def _timed(self, trace: MessageTrace) -> None:
        if trace.outcome == "written":
            self.delivery[trace.lane].record(trace.elapsed_s)

    def _traced(self, trace: MessageTrace) -> None:
        self._timed(trace)
        if self._tracer is not None:
            self._tracer.message_done(trace)


def new_trace_id(parent: TraceParent | None) -> str:
    """The trace of a new connection: the one that its client named, or one of its own."""
    return parent.trace_id if parent is not None else os.urandom(16).hex()
