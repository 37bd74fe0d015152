"""Spans that are in OTLP's form already, for exporters of the SDK: those that know it send the bytes, any other gets
the spans as the SDK has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, overload

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from wsprism.protocol.otlp_spans import request

__all__ = ["EncodedSpans", "Teller"]

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_REMOTE = 0x200
_BEFORE_THE_FIRST_KIND = 1


class Teller:
    """Whose spans they are: ``resource`` and ``scope`` as every request has them, encoded once by the SDK's encoder."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        nowhere = SpanContext(1, 1, is_remote=False)
        [of_resource] = encode_spans(
            [ReadableSpan("", nowhere, resource=resource, instrumentation_scope=scope)]
        ).resource_spans
        [of_scope] = of_resource.scope_spans
        del of_scope.spans[:]
        self.scope = of_scope.SerializeToString()
        del of_resource.scope_spans[:]
        self.resource = of_resource.SerializeToString()


class EncodedSpans(Sequence[ReadableSpan]):
    """``count`` spans of ``teller`` that are exported together; each of ``told`` is one or several in OTLP's form."""

    def __init__(self, teller: Teller, told: Sequence[bytes], count: int) -> None:
        self._teller = teller
        self._told = told
        self._count = count
        self.size_bytes = sum(map(len, told))

    @property
    def request(self) -> bytes:
        """All of them as an ``ExportTraceServiceRequest``."""
        return request(self._teller.resource, self._teller.scope, self._told)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> ReadableSpan: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ReadableSpan]: ...
    def __getitem__(self, at: int | slice) -> ReadableSpan | Sequence[ReadableSpan]:
        return self._decoded[at]

    @cached_property
    def _decoded(self) -> list[ReadableSpan]:
        spans = []
        for of_resource in ExportTraceServiceRequest.FromString(self.request).resource_spans:
            resource = Resource(_attributes(of_resource.resource.attributes), of_resource.schema_url or None)
            for of_scope in of_resource.scope_spans:
                scope = InstrumentationScope(of_scope.scope.name, of_scope.scope.version)
                spans += [_span(one, resource, scope) for one in of_scope.spans]
        return spans


def _span(one: Any, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    parent = one.parent_span_id and _context(one.trace_id, one.parent_span_id, is_remote=bool(one.flags & _REMOTE))
    return ReadableSpan(
        one.name,
        _context(one.trace_id, one.span_id),
        parent or None,
        resource=resource,
        attributes=_attributes(one.attributes),
        events=[Event(event.name, _attributes(event.attributes), event.time_unix_nano) for event in one.events],
        links=[Link(_context(link.trace_id, link.span_id)) for link in one.links],
        kind=SpanKind(one.kind - _BEFORE_THE_FIRST_KIND),
        status=Status(StatusCode(one.status.code)),
        start_time=one.start_time_unix_nano,
        end_time=one.end_time_unix_nano,
        instrumentation_scope=scope,
    )


def _context(trace_id: bytes, span_id: bytes, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"), is_remote, _SAMPLED)


def _attributes(told: Iterable[Any]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in told}
