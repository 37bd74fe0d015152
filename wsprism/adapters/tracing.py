"""Traces through OpenTelemetry: turns what was noted of sampled messages and connections into spans, and exports them.

The event loop only appends to a bounded list; spans are made once a second in a thread and leave through a
``BatchSpanProcessor``. What does not fit is dropped whole and counted, so that no trace comes in parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from wsprism import __version__
from wsprism.adapters.otlp import SHUTDOWN_TIMEOUT_S, resource
from wsprism.adapters.threads import in_thread
from wsprism.protocol.trace import TraceParent
from wsprism.realtime.counters import GatewayCounters
from wsprism.traces import ConnectionTrace, MessageTrace, SpanRef

__all__ = ["Tracing"]

HAND_OVER_S: Final = 1.0
MOST_TRACES: Final = 1024
"""Traces that wait to become spans."""

MOST_SPANS: Final = 8192
"""Spans that wait to be exported."""


class Tracing:
    """A ``Tracer``. ``exporter(on_taken)`` makes the span exporter, which reports each batch that it takes."""

    def __init__(self, exporter: Callable[[Callable[[int], None]], SpanExporter], counters: GatewayCounters) -> None:
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._waiting: list[MessageTrace | ConnectionTrace] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handing_over: asyncio.Task[None] | None = None
        self._converting = threading.Lock()
        self._made = self._taken = 0
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource(), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter(self._take), max_queue_size=MOST_SPANS, schedule_delay_millis=500)
        )
        self._tracer = self._provider.get_tracer("wsprism", __version__)

    def message_done(self, trace: MessageTrace) -> None:
        self._keep(trace)

    def connection_done(self, trace: ConnectionTrace) -> None:
        self._keep(trace)

    async def close(self) -> None:
        """Export what there is and stop, within ``SHUTDOWN_TIMEOUT_S``."""
        if self._timer is not None:
            self._timer.cancel()
        rest, self._waiting = self._waiting, []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                if self._handing_over is not None:
                    await asyncio.shield(self._handing_over)
                await in_thread(lambda: self._shut_down(rest), "wsprism-traces-shutdown")

    def _keep(self, trace: MessageTrace | ConnectionTrace) -> None:
        if len(self._waiting) >= MOST_TRACES:
            self._counters.traces_dropped += 1
            return
        self._waiting.append(trace)
        if self._timer is None:
            self._timer = self._loop.call_later(HAND_OVER_S, self._begin_to_hand_over)

    def _begin_to_hand_over(self) -> None:
        self._handing_over = self._loop.create_task(self._hand_over())

    async def _hand_over(self) -> None:
        traces, self._waiting = self._waiting, []
        self._counters.traces_dropped += await in_thread(lambda: self._convert(traces), "wsprism-traces")
        self._timer = None
        if self._waiting:
            self._timer = self._loop.call_later(HAND_OVER_S, self._begin_to_hand_over)

    # In other threads

    def _take(self, spans: int) -> None:
        self._taken += spans

    def _shut_down(self, rest: list[MessageTrace | ConnectionTrace]) -> None:
        self._convert(rest)
        self._provider.shutdown()

    def _convert(self, traces: list[MessageTrace | ConnectionTrace]) -> int:
        """Make spans of ``traces``; how many were dropped because too many spans wait."""
        with self._converting:
            for position, trace in enumerate(traces):
                spans = 1 + len(trace.stages) if isinstance(trace, MessageTrace) else 1
                if self._made - self._taken + spans > MOST_SPANS:
                    return len(traces) - position
                if isinstance(trace, MessageTrace):
                    self._convert_message(trace)
                else:
                    self._convert_connection(trace)
                self._made += spans
        return 0

    def _convert_message(self, trace: MessageTrace) -> None:
        offset_ns = trace.wall_ns - trace.started_ns
        linked = {one for one in (trace.connection, *trace.links) if one is not None}
        about = {
            "tenant": trace.tenant,
            "lane": trace.lane,
            "outcome": trace.outcome,
            "connection.trace_id": trace.session_trace_id,
        }
        whole = self._tracer.start_span(
            "message",
            _below(trace.parent),
            kind=SpanKind.SERVER,
            attributes=_attributes(about),
            links=[Link(_context(one.trace_id, one.span_id, is_remote=False)) for one in linked],
            start_time=trace.wall_ns,
        )
        inside = set_span_in_context(whole, Context())
        began_ns = trace.started_ns
        for stage in trace.stages:
            part = self._tracer.start_span(
                stage.name, inside, attributes=_attributes(stage.attributes), start_time=began_ns + offset_ns
            )
            part.end(stage.ended_ns + offset_ns)
            began_ns = stage.ended_ns
        whole.end(began_ns + offset_ns)

    def _convert_connection(self, trace: ConnectionTrace) -> None:
        offset_ns = trace.wall_ns - trace.started_ns
        self._ids.next = trace.ref
        span = self._tracer.start_span(
            "connection",
            _below(trace.parent),
            kind=SpanKind.SERVER,
            attributes=_attributes(trace.attributes),
            start_time=trace.wall_ns,
        )
        for event in trace.events:
            span.add_event(event.name, _attributes(event.attributes), event.ended_ns + offset_ns)
        span.end(trace.ended_ns + offset_ns)


class _Ids(RandomIdGenerator):
    """A connection's ids are known, from its log lines and messages, before its span is made."""

    def __init__(self) -> None:
        self.next: SpanRef | None = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.next is None else int(self.next.trace_id, 16)

    def generate_span_id(self) -> int:
        ref, self.next = self.next, None
        return super().generate_span_id() if ref is None else int(ref.span_id, 16)


def _below(parent: TraceParent | None) -> Context:
    if parent is None:
        return Context()
    return set_span_in_context(NonRecordingSpan(_context(parent.trace_id, parent.span_id, is_remote=True)), Context())


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))


def _attributes(named: dict[str, Any]) -> dict[str, Any]:
    return {f"wsprism.{name}": value for name, value in named.items()}
