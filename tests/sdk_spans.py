"""Spans of what was noted, as OpenTelemetry's SDK has and encodes them: what a collector is to receive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from wsprism.protocol.trace import TraceParent
from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace, SpanRef

__all__ = ["by_the_sdk", "sdk_spans"]


def by_the_sdk(
    traces: Iterable[MessageTrace | ConnectionTrace | CallTrace],
    ids: Sequence[SpanRef],
    resource: Resource,
    scope: InstrumentationScope,
) -> Any:
    """The ``ExportTraceServiceRequest`` of ``traces``; ``ids`` are those of all their spans, in order."""
    left = list(ids)
    spans: list[ReadableSpan] = []
    for trace in traces:
        spans += sdk_spans(trace, left, resource, scope)
    return encode_spans(spans)


def sdk_spans(
    trace: MessageTrace | ConnectionTrace | CallTrace,
    ids: list[SpanRef],
    resource: Resource,
    scope: InstrumentationScope,
) -> list[ReadableSpan]:
    """The spans of ``trace``, named by the first of ``ids``, which are taken off."""
    common: dict[str, Any] = {"resource": resource, "instrumentation_scope": scope}
    offset_ns = trace.wall_ns - trace.started_ns
    if isinstance(trace, ConnectionTrace):
        return [
            ReadableSpan(
                "connection",
                _context(ids.pop(0)),
                _parent(trace.parent),
                attributes=_named(trace.attributes),
                events=[Event(one.name, _named(one.attributes), one.ended_ns + offset_ns) for one in trace.events],
                kind=SpanKind.SERVER,
                start_time=trace.wall_ns,
                end_time=trace.ended_ns + offset_ns,
                **common,
            )
        ]
    if isinstance(trace, CallTrace):
        worked = trace.attributes["result"] in ("ok", "refused")
        return [
            ReadableSpan(
                "backend call",
                _context(ids.pop(0)),
                _context(trace.of),
                attributes=_named(trace.attributes),
                links=[Link(_context(one)) for one in trace.links],
                kind=SpanKind.CLIENT,
                status=Status(StatusCode.UNSET if worked else StatusCode.ERROR),
                start_time=trace.wall_ns,
                end_time=trace.ended_ns + offset_ns,
                **common,
            )
        ]
    stage_ids = [ids.pop(0) for _ in trace.stages]
    whole = _context(ids.pop(0))
    began_ns = trace.wall_ns
    spans = []
    for stage, stage_id in zip(trace.stages, stage_ids, strict=True):
        ended_ns = stage.ended_ns + offset_ns
        spans.append(
            ReadableSpan(
                stage.name,
                _context(stage_id),
                whole,
                attributes=_named(stage.attributes),
                start_time=began_ns,
                end_time=ended_ns,
                **common,
            )
        )
        began_ns = ended_ns
    about = {
        "tenant": trace.tenant,
        "lane": trace.lane,
        "outcome": trace.outcome,
        "connection.trace_id": trace.session_trace_id,
    }
    linked = dict.fromkeys(one for one in (trace.connection, *trace.links) if one is not None)
    spans.append(
        ReadableSpan(
            "message",
            whole,
            _parent(trace.parent),
            attributes=_named(about),
            links=[Link(_context(one)) for one in linked],
            kind=SpanKind.SERVER,
            start_time=trace.wall_ns,
            end_time=began_ns,
            **common,
        )
    )
    return spans


def _parent(parent: TraceParent | None) -> SpanContext | None:
    return _context(SpanRef(parent.trace_id, parent.span_id), is_remote=True) if parent is not None else None


def _context(ref: SpanRef, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(ref.trace_id, 16), int(ref.span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"wsprism.{name}": value for name, value in attributes.items()}
