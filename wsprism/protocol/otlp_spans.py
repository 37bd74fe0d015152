"""Spans of OpenTelemetry's protocol (OTLP), written as bytes: what was noted of a message, a connection or a call goes
from its record to the wire without an object for each span, event, link and attribute between.

Only spans are made here, as elements of ``ScopeSpans.spans`` (opentelemetry-proto, trace/v1); `request` puts them into
what says whose they are. Protobuf lets fields stand in any order: those that the spans of a trace share come first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from wsprism.protocol.trace import TraceParent
from wsprism.protocol.traces import CallTrace, ConnectionTrace, MessageTrace, SpanRef, Stage

__all__ = ["call_span", "connection_span", "message_spans", "request"]

_INTERNAL: Final = b"\x30\x01"
_SERVER: Final = b"\x30\x02"
_CLIENT: Final = b"\x30\x03"

_UNSET: Final = b"\x7a\x00"
_ERROR: Final = b"\x7a\x02\x18\x02"

_LOCAL: Final = b"\x85\x01\x00\x01\x00\x00"
"""Flags: whether the parent is another process's is known, and it is not."""

_REMOTE: Final = b"\x85\x01\x00\x03\x00\x00"

_ATTRIBUTE: Final = b"\x4a"
_ATTRIBUTE_OF_EVENT: Final = b"\x1a"
_EVENT: Final = b"\x5a"
_SPAN: Final = b"\x12"

_WORKED: Final = ("ok", "refused")
_MAX_CACHED: Final = 1024
_MAX_CACHED_LENGTH: Final = 64

_BYTE: Final = [bytes([number]) for number in range(128)]

_one: Final = Struct("<2s8ssQsQ").pack
"""A span's id, start and end."""

_link: Final = Struct("<4s16s2s8s5s").pack
_moment: Final = Struct("<sQ").pack
_double: Final = Struct("<sd").pack


def request(resource: bytes, scope: bytes, spans: Sequence[bytes]) -> bytes:
    """An ``ExportTraceServiceRequest``. ``resource`` is ``ResourceSpans`` without its spans, ``scope`` ``ScopeSpans``
    without its own."""
    told = b"".join((scope, *spans))
    return _field(b"\x0a", resource + _field(b"\x12", told))


def message_spans(trace: MessageTrace) -> bytes:
    """The span of a message, and one for each of its stages: they follow one another."""
    stages = trace.stages
    parent = trace.parent
    made = random.randbytes(24 + 8 * len(stages))
    if trace.ref is not None:
        trace_id, span_id = _ids(trace.ref)
    else:
        trace_id = made[:16] if parent is None else bytes.fromhex(parent.trace_id)
        span_id = made[16:24]
    shared = b"\x0a\x10" + trace_id + b"\x22\x08" + span_id + b"\x7a\x00\x85\x01\x00\x01\x00\x00"
    offset_ns = trace.wall_ns - trace.started_ns
    began_ns = trace.wall_ns
    at = 24
    out = []
    for stage in stages:
        ended_ns = stage.ended_ns + offset_ns
        span = shared + _one(b"\x12\x08", made[at : at + 8], b"\x39", began_ns, b"\x41", ended_ns) + _stage(stage.name)
        attributes = stage.attributes
        for name in attributes:
            span += _known(name, attributes[name])
        out.append(_field(_SPAN, span))
        began_ns = ended_ns
        at += 8
    about = _parent(parent) + _known("tenant", trace.tenant) + _known("lane", trace.lane)
    about += _known("outcome", trace.outcome) + _attribute(_ATTRIBUTE, "connection.trace_id", trace.session_trace_id)
    if trace.connection is not None:
        about += b"".join(dict.fromkeys(_links([trace.connection, *trace.links])))  # the sender is a member too
    elif trace.links:
        about += b"".join(dict.fromkeys(_links(trace.links)))
    out.append(_whole("message", trace_id, span_id, trace.wall_ns, began_ns, _SERVER + _UNSET + about))
    return b"".join(out)


def connection_span(trace: ConnectionTrace) -> bytes:
    """The span of a connection, with its events."""
    trace_id, span_id = _ids(trace.ref)
    offset_ns = trace.wall_ns - trace.started_ns
    about = _SERVER + _UNSET + _parent(trace.parent) + _attributes(_ATTRIBUTE, trace.attributes)
    about += b"".join([_event(event, offset_ns) for event in trace.events])
    return _whole("connection", trace_id, span_id, trace.wall_ns, trace.ended_ns + offset_ns, about)


def call_span(trace: CallTrace) -> bytes:
    """The span of a call to a backend."""
    trace_id, span_id = _ids(trace.ref)
    status = _UNSET if trace.attributes.get("result") in _WORKED else _ERROR
    about = _CLIENT + status + b"\x22\x08" + bytes.fromhex(trace.of.span_id) + _LOCAL
    about += _attributes(_ATTRIBUTE, trace.attributes) + b"".join(_links(trace.links))
    ended_ns = trace.wall_ns + trace.ended_ns - trace.started_ns
    return _whole("backend call", trace_id, span_id, trace.wall_ns, ended_ns, about)


def _whole(name: str, trace_id: bytes, span_id: bytes, began_ns: int, ended_ns: int, about: bytes) -> bytes:
    span = _one(b"\x12\x08", span_id, b"\x39", began_ns, b"\x41", ended_ns)
    return _field(_SPAN, b"\x0a\x10" + trace_id + span + _field(b"\x2a", name.encode()) + about)


@lru_cache(maxsize=_MAX_CACHED)
def _stage(name: str) -> bytes:
    return _field(b"\x2a", name.encode()) + _INTERNAL


def _event(event: Stage, offset_ns: int) -> bytes:
    body = _moment(b"\x09", event.ended_ns + offset_ns) + _field(b"\x12", event.name.encode())
    return _field(_EVENT, body + _attributes(_ATTRIBUTE_OF_EVENT, event.attributes))


def _parent(parent: TraceParent | None) -> bytes:
    return _LOCAL if parent is None else b"\x22\x08" + bytes.fromhex(parent.span_id) + _REMOTE


def _links(to: list[SpanRef]) -> list[bytes]:
    out = []
    for ref in to:
        trace_id, span_id = _ids(ref)
        out.append(_link(b"\x6a\x21\x0a\x10", trace_id, b"\x12\x08", span_id, b"\x35\x00\x01\x00\x00"))
    return out


def _ids(ref: SpanRef) -> tuple[bytes, bytes]:
    return bytes.fromhex(ref.trace_id), bytes.fromhex(ref.span_id)


def _attributes(tag: bytes, named: dict[str, Any]) -> bytes:
    return b"".join([_attribute(tag, name, named[name]) for name in named])


def _known(name: str, value: Any) -> bytes:
    """An attribute of a span, for values that come again and again."""
    if isinstance(value, str) and len(value) > _MAX_CACHED_LENGTH:
        return _attribute(_ATTRIBUTE, name, value)
    return _cached(name, value)


@lru_cache(maxsize=_MAX_CACHED, typed=True)
def _cached(name: str, value: Any) -> bytes:
    return _attribute(_ATTRIBUTE, name, value)


def _attribute(tag: bytes, name: str, value: Any) -> bytes:
    """A ``KeyValue``; nothing for a value that OTLP has no room for: the span is told without it."""
    try:
        told = _value(value)
    except ValueError:
        return b""
    return _field(tag, _field(b"\x0a", b"wsprism." + name.encode()) + _field(b"\x12", told))


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _field(b"\x0a", value.encode())  # half a surrogate pair is a ValueError
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(value)
        return b"\x18" + _varint(value % 2**64)
    if isinstance(value, float):
        return _double(b"\x21", value)
    raise ValueError(value)


def _field(tag: bytes, content: bytes) -> bytes:
    """A field that says how long it is."""
    length = len(content)
    if length < 128:
        return tag + _BYTE[length] + content
    return tag + _varint(length) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
