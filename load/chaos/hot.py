"""The hot frames that members send: compact, with the number of their room."""

from __future__ import annotations

from typing import Final

__all__ = ["hot_frame", "read_hot"]

_SERVICE: Final = 1
_OPCODE: Final = 1
_SEQ_PRESENT: Final = 1
_SENDER_PRESENT: Final = 4
_ROOM_PRESENT: Final = 8


def hot_frame(number: int, text: str) -> bytes:
    """To the room with that number."""
    return bytes((_SERVICE, _OPCODE, _ROOM_PRESENT)) + number.to_bytes(4, "little") + text.encode()


def read_hot(frame: bytes) -> tuple[int, str]:
    """Number of the room, and text, of a frame with a number. Raises ValueError for any other."""
    flags, at = frame[2], 3
    if not flags & _ROOM_PRESENT:
        raise ValueError(f"a hot frame without the number of its room: {frame!r}")
    at += 4 if flags & _SEQ_PRESENT else 0
    number, at = int.from_bytes(frame[at : at + 4], "little"), at + 4
    at += 1 + frame[at] if flags & _SENDER_PRESENT else 0
    return number, frame[at:].decode()
