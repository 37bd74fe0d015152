"""Ready server-to-client WebSocket frames (RFC 6455 section 5): final, unmasked, whole messages in one frame.

Owns frame headers and the validity of close codes. Knows neither sockets nor what a payload says; reading frames is
`websocket.py`'s work. Called wherever something is encoded once for many receivers.
"""

from struct import Struct
from typing import Final

__all__ = [
    "MAX_CONTROL_BYTES",
    "MAX_REASON_BYTES",
    "binary_frame",
    "close_frame",
    "is_valid_close_code",
    "payload_of",
    "ping_frame",
    "pong_frame",
    "text_frame",
    "text_frame_of",
]

MAX_CONTROL_BYTES = 125
"""Longest payload of a control frame (RFC 6455 section 5.5)."""

MAX_REASON_BYTES = 123
"""Longest close reason: a control payload less the two bytes of the code (RFC 6455 section 5.5.1)."""

_FIN: Final = 0x80
_RSV1: Final = 0x40
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA

_SHORT_TEXT: Final = tuple(bytes((_FIN | _TEXT, size)) for size in range(126))
_SHORT_BINARY: Final = tuple(bytes((_FIN | _BINARY, size)) for size in range(126))

_header_16: Final = Struct("!BBH").pack
_header_64: Final = Struct("!BBQ").pack


def text_frame(payload: bytes, *, deflated: bool = False) -> bytes:
    """A text frame around UTF-8 `payload`; `deflated` sets RSV1 (RFC 7692: the payload is already compressed)."""
    size = len(payload)
    if size < 126 and not deflated:
        return _SHORT_TEXT[size] + payload
    return _frame(_FIN | _RSV1 | _TEXT if deflated else _FIN | _TEXT, payload)


def text_frame_of(head: bytes, middle: bytes, tail: bytes) -> bytes:
    """`text_frame` of the three joined."""
    size = len(head) + len(middle) + len(tail)
    header = _SHORT_TEXT[size] if size < 126 else _header(_FIN | _TEXT, size)
    return b"".join((header, head, middle, tail))


def binary_frame(payload: bytes, *, deflated: bool = False) -> bytes:
    """A binary frame around `payload`; `deflated` sets RSV1 (RFC 7692: the payload is already compressed)."""
    size = len(payload)
    if size < 126 and not deflated:
        return _SHORT_BINARY[size] + payload
    return _frame(_FIN | _RSV1 | _BINARY if deflated else _FIN | _BINARY, payload)


def payload_of(frame: bytes) -> bytes:
    """What a ready frame of this module was made around."""
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping. Raises ValueError above 125 bytes."""
    return _control_frame(_PING, payload)


def pong_frame(payload: bytes = b"") -> bytes:
    """A pong. Raises ValueError above 125 bytes."""
    return _control_frame(_PONG, payload)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A close frame. Without a code the payload is empty and `reason` is left out.

    `reason` is cut to 123 bytes at a character's boundary; a lone surrogate in it becomes `?`.
    Raises ValueError for a code that must not be on the wire (RFC 6455 section 7.4).
    """
    if code is None:
        return _control_frame(_CLOSE, b"")
    if not is_valid_close_code(code):
        raise ValueError(f"close code {int(code)} must not be sent")
    text = reason.encode("utf-8", "replace")
    if len(text) > MAX_REASON_BYTES:
        text = text[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return _control_frame(_CLOSE, code.to_bytes(2, "big") + text)


def is_valid_close_code(code: int) -> bool:
    """Whether `code` may appear in a close frame (RFC 6455 section 7.4 and the IANA registry up to 1014)."""
    return 3000 <= code <= 4999 or 1000 <= code <= 1003 or 1007 <= code <= 1014


def _frame(first: int, payload: bytes) -> bytes:
    return _header(first, len(payload)) + payload


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return _header_16(first, 126, size)
    return _header_64(first, 127, size)


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame holds at most {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
    return _frame(_FIN | opcode, payload)
