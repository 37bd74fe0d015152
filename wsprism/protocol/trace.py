"""W3C Trace Context: reading a `traceparent`, on the handshake or in a message's `trace` field.

Owns the syntax only; what is sampled and exported is telemetry's decision. Malformed text is None, never an error.
"""

import re
from dataclasses import dataclass

__all__ = ["TraceParent", "parse_traceparent"]

_VERSION_00 = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL
).fullmatch


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A sender's span: lower-case hex ids, and whether the sender recorded it."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str | None) -> TraceParent | None:
    """The span that `text` names, or None when it is absent or malformed (Trace Context level 1, section 3.2).

    Version ff and all-zero ids are malformed; a later version may carry more fields after the four known ones.
    """
    if text is None or (found := _VERSION_00(text)) is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & 1))
