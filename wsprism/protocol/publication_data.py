"""What a publication holds of its data: JSON that MessagePack can say too, made before it reaches a room."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.nesting import MAX_DEPTH, json_nests_too_deep
from wsprism.protocol.portable import TOO_LARGE, can_be_told

__all__ = ["NotPortable", "data_of", "text_only"]

T = TypeVar("T")

_json: Final = JSON.encode
_msgpack: Final = MSGPACK.encode
_RAW: Final = msgspec.Raw
_text_only: Final[set[type]] = set()
_DEEPEST: Final = MAX_DEPTH - 1
"""The envelope is the first level."""


class NotPortable(ValueError):
    """There is no message with this data."""


def text_only(kind: type[T]) -> type[T]:
    """Of a Struct: all of its fields are text, which both encodings say when one does. A class decorator."""
    _text_only.add(kind)
    return kind


def data_of(value: object) -> bytes:
    """``value`` as a publication's data; ``NotPortable`` when one of the two encodings cannot say it.

    What a backend gave is ``Raw``: JSON that was not looked into.
    """
    try:
        data = _json(value)
        if type(value) is _RAW:
            if not can_be_told(value):
                raise NotPortable(f"has {TOO_LARGE}")
        elif type(value) not in _text_only:
            _msgpack(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as fault:
        raise NotPortable(str(fault)) from fault
    if len(data) > 2 * _DEEPEST and json_nests_too_deep(data.decode(), _DEEPEST):
        raise NotPortable(f"nests more than {_DEEPEST} levels deep")
    return data
