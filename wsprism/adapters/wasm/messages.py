"""What a guest is told of a message, as JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["encode_message"]

_encode: Final = msgspec.json.Encoder().encode


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
