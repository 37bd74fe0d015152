"""What a guest is told of a message, as JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["compact", "encode_message"]

_encode: Final = msgspec.json.Encoder().encode
_SPACE, _LINE_FEED, _TAB, _CARRIAGE_RETURN = b" \n\t\r"


class _Session(msgspec.Struct, gc=False):
    user: str
    sid: str
    generation: int


class _Message(msgspec.Struct, gc=False, omit_defaults=True):
    tenant: str
    session: _Session
    type: str
    now_ms: int
    room: str | None = None
    seq: int | None = None
    data: Any = msgspec.UNSET


def compact(data: msgspec.Raw) -> msgspec.Raw:
    """Without the spaces between its parts: a guest's reader may be simple."""
    json = bytes(data)
    if _SPACE in json or _LINE_FEED in json or _TAB in json or _CARRIAGE_RETURN in json:
        return msgspec.Raw(msgspec.json.format(json, indent=-1))
    return data


def encode_message(
    tenant: str,
    user: str,
    sid: str,
    generation: int,
    type: str,
    now_ms: int,
    room: str | None = None,
    seq: int | None = None,
    data: Any = msgspec.UNSET,
) -> bytes:
    """``data`` is anything that JSON can say; what is None or unset is left out, but for ``data``."""
    return _encode(_Message(tenant, _Session(user, sid, generation), type, now_ms, room, seq, data))
