"""What a handler gets besides its context: the message's data as its signature wants it, or why it does not fit.

What is let through can be said again, some levels deeper: no client can make an honest handler's answer a fault.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from wsprism.plugin.service import Handler
from wsprism.protocol.envelope import Envelope
from wsprism.protocol.faults import DATA_MISSING, NOT_PORTABLE, DataFault
from wsprism.protocol.msgpack_nesting import msgpack_nests_too_deep
from wsprism.protocol.nesting import json_nests_too_deep
from wsprism.protocol.portable import can_be_told

__all__ = ["MAX_DATA_DEPTH", "read_data"]

MAX_DATA_DEPTH: Final = 56
"""Levels of a message's data; an answer may have some more."""

_NO_DATA: Final[tuple[Any, ...]] = ()
_NONE: Final[tuple[Any, ...]] = (None,)
_MISSING: Final = DataFault(DATA_MISSING)
_TOO_DEEP: Final = DataFault(f"data must not nest more than {MAX_DATA_DEPTH} levels")
_TOO_LARGE: Final = DataFault(NOT_PORTABLE)
_MAY_BE_ODD_BYTES: Final = 19
"""As many characters as the smallest integer that not every client can be told."""


class Sender(Protocol):
    """Whose message it is."""

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any: ...


def read_data(handler: Handler, envelope: Envelope, sender: Sender) -> tuple[Any, ...] | DataFault:
    """The arguments behind the context. Raises whatever the author's own type raises when it is made."""
    takes = handler.data
    if takes is None:
        return _NO_DATA
    raw = envelope.data
    if raw is None:
        if takes.default:
            return _NO_DATA
        return _NONE if takes.or_none else _MISSING
    data = sender.decode_data(envelope, takes.type)
    if type(data) is DataFault:
        return data
    if not takes.plain and len(memoryview(raw)) >= _MAY_BE_ODD_BYTES:
        fault = _odd(bytes(raw), typed=takes.type is not Any)
        if fault is not None:
            return fault
    return (data,)


def _odd(raw: bytes, *, typed: bool) -> DataFault | None:
    if raw[0] >= 0x80:  # of so many bytes no JSON begins like that; MessagePack's numbers have 64 bits
        return _TOO_DEEP if msgpack_nests_too_deep(raw, MAX_DATA_DEPTH) else None
    if raw.count(b"[") + raw.count(b"{") > MAX_DATA_DEPTH and json_nests_too_deep(raw.decode(), MAX_DATA_DEPTH):
        return _TOO_DEEP
    return _TOO_LARGE if typed and not can_be_told(msgspec.Raw(raw)) else None
