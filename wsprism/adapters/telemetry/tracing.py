"""Traces through OpenTelemetry: turns what was noted of sampled messages and connections into spans, and exports them.

The event loop only appends to a bounded list; spans are made ten times a second in a thread and leave through a
``BatchSpanProcessor``. What does not fit is dropped whole and counted, so that no trace comes in parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from wsprism import __version__
from wsprism.adapters.telemetry.otlp import SHUTDOWN_TIMEOUT_S, resource
from wsprism.adapters.threads import in_thread
from wsprism.protocol.trace import TraceParent
from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace, SpanRef
from wsprism.realtime.counters import GatewayCounters

__all__ = ["Tracing"]

_log = logging.getLogger("wsprism.telemetry")

HAND_OVER_S: Final = 0.1
MOST_SPANS_IN_EXPORT: Final = 64
"""Little and often: whoever makes or encodes many spans at once holds up the event loop for as long."""

MOST_TRACES: Final = 1024
"""Traces that wait to become spans."""

MOST_SPANS: Final = 8192
"""Spans that wait to be exported."""

_WORKED: Final = ("ok", "refused")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


_Trace = MessageTrace | ConnectionTrace | CallTrace


class Tracing:
    """A ``Tracer``. ``exporter(on_taken)`` makes the span exporter, which reports each batch that it takes. ``node`` is
    what operators call this process.
    """

    def __init__(
        self,
        exporter: Callable[[Callable[[int], None]], SpanExporter],
        counters: GatewayCounters,
        node: str = "",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._waiting: list[_Trace] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handing_over: asyncio.Task[None] | None = None
        self._converting = threading.Lock()
        self._made = self._taken = 0
        self._processor = BatchSpanProcessor(
            exporter(self._take),
            max_queue_size=MOST_SPANS,
            max_export_batch_size=MOST_SPANS_IN_EXPORT,
            schedule_delay_millis=100,
        )
        self._resource = resource(node)
        self._scope = InstrumentationScope("wsprism", __version__)

    def message_done(self, trace: MessageTrace) -> None:
        self._keep(trace)

    def connection_done(self, trace: ConnectionTrace) -> None:
        self._keep(trace)

    def call_done(self, trace: CallTrace) -> None:
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

    def _keep(self, trace: _Trace) -> None:
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
        try:
            dropped = await in_thread(lambda: self._convert(traces), "wsprism-traces")
            self._counters.traces_dropped += dropped
        except RuntimeError as error:  # no thread is to be had
            self._counters.traces_dropped += len(traces)
            _log.warning("traces were lost", extra={"traces": len(traces), "error": str(error)})
        finally:
            self._timer = None
            if self._waiting:
                self._timer = self._loop.call_later(HAND_OVER_S, self._begin_to_hand_over)

    # In other threads

    def _take(self, spans: int) -> None:
        self._taken += spans

    def _shut_down(self, rest: list[_Trace]) -> None:
        self._convert(rest)
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _convert(self, traces: list[_Trace]) -> int:
        """Make spans of ``traces``; how many were dropped because too many spans wait."""
        dropped = 0
        with self._converting:
            for position, trace in enumerate(traces):
                spans = 1 + len(trace.stages) if isinstance(trace, MessageTrace) else 1
                if self._made - self._taken + spans > MOST_SPANS:
                    return dropped + len(traces) - position
                try:
                    if isinstance(trace, MessageTrace):
                        self._convert_message(trace)
                    elif isinstance(trace, ConnectionTrace):
                        self._convert_connection(trace)
                    else:
                        self._convert_call(trace)
                except Exception as error:  # one that cannot be told is not the end of all others
                    dropped += 1
                    _log.warning("a trace could not be made", extra={"error": repr(error)})
                else:
                    self._made += spans
        return dropped

    def _convert_message(self, trace: MessageTrace) -> None:
        offset_ns = trace.wall_ns - trace.started_ns
        linked = {one for one in (trace.connection, *trace.links) if one is not None}
        about = {
            "tenant": trace.tenant,
            "lane": trace.lane,
            "outcome": trace.outcome,
            "connection.trace_id": trace.session_trace_id,
        }
        parent = _parent(trace.parent)
        if trace.ref is not None:
            whole = _named(trace.ref)
            trace_id = whole.trace_id
        else:
            trace_id = parent.trace_id if parent is not None else random.getrandbits(128)
            whole = _context(trace_id, random.getrandbits(64))
        began_ns = trace.started_ns
        for stage in trace.stages:
            self._end(
                stage.name,
                _context(trace_id, random.getrandbits(64)),
                whole,
                SpanKind.INTERNAL,
                stage.attributes,
                (began_ns + offset_ns, stage.ended_ns + offset_ns),
            )
            began_ns = stage.ended_ns
        links = [Link(_named(one)) for one in linked]
        self._end("message", whole, parent, SpanKind.SERVER, about, (trace.wall_ns, began_ns + offset_ns), links=links)

    def _convert_connection(self, trace: ConnectionTrace) -> None:
        offset_ns = trace.wall_ns - trace.started_ns
        events = [Event(one.name, _attributes(one.attributes), one.ended_ns + offset_ns) for one in trace.events]
        times_ns = trace.wall_ns, trace.ended_ns + offset_ns
        kind = SpanKind.SERVER
        self._end(
            "connection", _named(trace.ref), _parent(trace.parent), kind, trace.attributes, times_ns, events=events
        )

    def _convert_call(self, trace: CallTrace) -> None:
        times_ns = trace.wall_ns, trace.wall_ns + trace.ended_ns - trace.started_ns
        links = [Link(_named(one)) for one in trace.links]
        worked = trace.attributes.get("result") in _WORKED
        self._end(
            "backend call",
            _named(trace.ref),
            _named(trace.of),
            SpanKind.CLIENT,
            trace.attributes,
            times_ns,
            links=links,
            status=Status(StatusCode.UNSET if worked else StatusCode.ERROR),
        )

    def _end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        times_ns: tuple[int, int],
        links: Sequence[Link] = (),
        events: Sequence[Event] = (),
        status: Status | None = None,
    ) -> None:
        """Hand over a span that is whole already: to open and close one through a tracer costs three times as much."""
        start_time, end_time = times_ns
        span = ReadableSpan(
            name,
            context,
            parent,
            attributes=_attributes(attributes),
            links=links,
            events=events,
            kind=kind,
            start_time=start_time,
            end_time=end_time,
            resource=self._resource,
            instrumentation_scope=self._scope,
            status=status or Status(StatusCode.UNSET),
        )
        self._processor.on_end(span)


def _parent(parent: TraceParent | None) -> SpanContext | None:
    if parent is None:
        return None
    return _context(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True)


def _named(ref: SpanRef) -> SpanContext:
    return _context(int(ref.trace_id, 16), int(ref.span_id, 16))


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote, _SAMPLED)


def _attributes(named: dict[str, Any]) -> dict[str, Any]:
    return {f"wsprism.{name}": value for name, value in named.items()}
