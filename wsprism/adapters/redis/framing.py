"""What scripts say in a room's channel: fields, each behind its length. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["framed", "unframed"]


def framed(fields: Sequence[bytes]) -> bytes:
    """As ``common.lua`` does."""
    return b"".join(part for field in fields for part in (len(field).to_bytes(4, "big"), field))


def unframed(message: bytes) -> list[bytes] | None:
    """The fields; None: that is no such message."""
    fields: list[bytes] = []
    at, end = 0, len(message)
    while at < end:
        start = at + 4
        at = start + int.from_bytes(message[at:start], "big")
        if at > end or start > end:
            return None
        fields.append(message[start:at])
    return fields
