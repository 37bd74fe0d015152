"""The reading half of RFC 6455, server side, as a sans-IO decoder.

Bytes from the socket go in, messages and control frames come out. It bounds what it buffers, refuses what the RFC
forbids (unmasked frames included) and knows nothing of sockets or lanes. The transport feeds it.
"""

from __future__ import annotations

import codecs
import zlib
from dataclasses import dataclass
from typing import Final

from qos.native import mypyc_attr
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.frames import is_valid_close_code
from wsprism.protocol.masking import unmask

__all__ = ["CloseReceived", "Event", "FrameDecoder", "Ping", "Pong", "Violation", "size_in_bytes"]

_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA

_FIN: Final = 0x80
_MASKED: Final = 0x80
_WHOLE_TEXT: Final = _FIN | _TEXT
_WHOLE_BINARY: Final = _FIN | _BINARY
_WHOLE: Final = (_WHOLE_TEXT, _WHOLE_BINARY)

_RSV1: Final = 0x40
_RSV23: Final = 0x30

_DEFLATE_END: Final = b"\x00\x00\xff\xff" + b"\x01\x00\x00\xff\xff"
"""What the sender took off (RFC 7692 §7.2.1), and an empty last block: only a whole message reaches its end."""

_FREE_FRAGMENTS: Final = 64
_BYTES_PER_FRAGMENT: Final = 16
"""A message may come in 64 fragments and one more for every so many bytes it may have: no frame is free of charge."""

_MAX_CONTROL_FRAMES: Final = 128
"""Pings and pongs that one read may hold; nothing that a client means needs so many at once."""

_AFTER_LAST_BLOCK: Final = frozenset({b"", _DEFLATE_END, b"\x00" + _DEFLATE_END})
"""What may be left once inflated: the sender's own last block makes ours superfluous (RFC 7692 §7.2.3.4)."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; the payload (at most 125 bytes) wants a pong (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong, asked for or not (§5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The peer's Close (§5.5.1). ``code`` is None when its body was empty."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol or a bound: the connection must be failed with ``code`` (§7.1.7). The last event."""

    code: CloseCode
    reason: str


Event = str | bytes | Ping | Pong | CloseReceived | Violation
"""A text message, a binary message, or one of the control events."""


def size_in_bytes(message: str | bytes) -> int:
    """What a message took on the wire, before compression."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())


_Utf8 = codecs.getincrementaldecoder("utf-8")
_NOT_UTF8 = Violation(CloseCode.INVALID_DATA, "text is not UTF-8")
_TOO_MANY_FRAGMENTS = Violation(CloseCode.TOO_BIG, "message in too many fragments")
_TOO_MANY_CONTROL_FRAMES = Violation(CloseCode.RATE_LIMITED, "too many control frames")


@mypyc_attr(allow_interpreted_subclasses=True)
class FrameDecoder:
    """Turns a client's byte stream into events, in order.

    ``max_message_bytes`` bounds a whole message, all fragments together and after inflation; a frame that announces
    more is refused by its header, before its payload is buffered. What costs work and carries nothing is bounded too:
    the fragments of a message, and the control frames in one ``feed``. With ``deflate`` RSV1 marks a message compressed
    without context takeover (RFC 7692 §7.2.2); without it RSV1 is a violation.
    """

    __slots__ = (
        "_buffer",
        "_compressed",
        "_deflate",
        "_done",
        "_fragment_count",
        "_fragments",
        "_max_bytes",
        "_needed_bytes",
        "_next_max_bytes",
        "_opcode",
        "_utf8",
    )

    def __init__(self, max_message_bytes: int, *, deflate: bool = False) -> None:
        self._max_bytes = self._next_max_bytes = max_message_bytes
        self._deflate = deflate
        self._buffer: bytearray | None = None
        self._needed_bytes = 0
        self._fragments: bytearray | None = None
        self._fragment_count = 0
        self._opcode = _CONTINUATION
        self._compressed = False
        self._done = False
        self._utf8: codecs.IncrementalDecoder | None = None

    @property
    def buffered_bytes(self) -> int:
        """What is held of unfinished frames and messages."""
        return len(self._buffer or b"") + len(self._fragments or b"")

    def limit(self, max_message_bytes: int) -> None:
        """Bound the messages that begin from here on; one that has begun keeps its bound."""
        self._next_max_bytes = max_message_bytes
        begun = self._fragments is not None or (self._buffer is not None and self._buffer[0] & 0x08 == 0)
        if not begun:
            self._max_bytes = max_message_bytes

    def feed(self, data: bytes) -> list[Event]:
        """Decode what ``data`` completes. After a Violation or a Close everything further is ignored."""
        events: list[Event] = []
        if self._done:
            return events
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed_bytes:
                return events
            data = bytes(self._buffer)
            self._buffer = None
        self._needed_bytes = 0
        position, end = 0, len(data)
        control_frames = 0
        while end - position >= 2:
            first, second = data[position], data[position + 1]
            if first in _WHOLE and _MASKED <= second < _MASKED + 126:
                # By far the most frequent frame: a whole short message. Nothing but its size is left to be checked.
                length = second - _MASKED
                next_position = position + 6 + length
                if next_position <= end and self._fragments is None and length <= self._max_bytes:
                    payload = unmask(data, position + 2, length)
                    position = next_position
                    self._max_bytes = self._next_max_bytes
                    if first == _WHOLE_BINARY:
                        events.append(payload)
                        continue
                    try:
                        events.append(payload.decode())
                    except UnicodeDecodeError:
                        return self._fail(events, _NOT_UTF8)
                    continue
            violation = self._check_header(first, second)
            if violation is not None:
                return self._fail(events, violation)
            length = second & 0x7F
            mask_at = position + 2
            if length >= 126:
                mask_at += 2 if length == 126 else 8
                if mask_at > end:
                    break
                length = int.from_bytes(data[position + 2 : mask_at], "big")
                if length < (126 if mask_at - position == 4 else 0x10000) or length >> 63:
                    return self._fail(events, Violation(CloseCode.PROTOCOL_ERROR, "invalid length encoding"))
            if first & 0x08 == 0 and length > self._max_bytes - len(self._fragments or b""):
                return self._fail(events, Violation(CloseCode.TOO_BIG, "message too large"))
            next_position = mask_at + 4 + length
            if next_position > end:
                self._needed_bytes = next_position - position
                break
            payload = unmask(data, mask_at, length)
            position = next_position
            if first & 0x08:
                control_frames += 1
                if control_frames > _MAX_CONTROL_FRAMES:
                    return self._fail(events, _TOO_MANY_CONTROL_FRAMES)
            event = self._event(first, payload)
            if event is None:
                continue
            if type(event) is Violation:
                return self._fail(events, event)
            events.append(event)
            if type(event) is CloseReceived:
                self._finish()
                return events
        if position < end:
            self._buffer = bytearray(data[position:])
        return events

    def _check_header(self, first: int, second: int) -> Violation | None:
        if second < 0x80:
            return Violation(CloseCode.PROTOCOL_ERROR, "frame is not masked")
        opcode = first & 0x0F
        if first & (_RSV23 if self._deflate else _RSV23 | _RSV1):
            return Violation(CloseCode.PROTOCOL_ERROR, "reserved bits set")
        if opcode >= 0x8:
            if opcode > _PONG:
                return Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode")
            if first & _RSV1:
                return Violation(CloseCode.PROTOCOL_ERROR, "reserved bits set")
            if not first & _FIN:
                return Violation(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
            if second & 0x7F > 125:
                return Violation(CloseCode.PROTOCOL_ERROR, "control frame too long")
        elif opcode == _CONTINUATION:
            if self._fragments is None:
                return Violation(CloseCode.PROTOCOL_ERROR, "continuation without a message")
            if first & _RSV1:
                return Violation(CloseCode.PROTOCOL_ERROR, "reserved bits set")
        elif opcode > _BINARY:
            return Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        elif self._fragments is not None:
            return Violation(CloseCode.PROTOCOL_ERROR, "new message inside a fragmented one")
        return None

    def _event(self, first: int, payload: bytes) -> Event | None:
        opcode = first & 0x0F
        if opcode >= 0x8:
            if opcode == _CLOSE:
                return _close_event(payload)
            return Ping(payload) if opcode == _PING else Pong(payload)
        fragments = self._fragments
        if fragments is None:
            if first & _FIN:
                return self._message(opcode, payload, compressed=bool(first & _RSV1))
            self._opcode = opcode
            self._compressed = bool(first & _RSV1)
            self._fragments = bytearray(payload)
            self._fragment_count = 1
            self._utf8 = _Utf8() if opcode == _TEXT and not self._compressed else None
            return self._check_fragment(payload)
        self._fragment_count += 1
        if self._fragment_count > _FREE_FRAGMENTS + self._max_bytes // _BYTES_PER_FRAGMENT:
            return _TOO_MANY_FRAGMENTS
        fragments += payload
        if not first & _FIN:
            return self._check_fragment(payload)
        self._fragments = self._utf8 = None
        return self._message(self._opcode, bytes(fragments), compressed=self._compressed)

    def _check_fragment(self, payload: bytes) -> Violation | None:
        """Text that cannot become UTF-8 any more fails at once (§8.1), not only when the message ends."""
        if self._utf8 is not None:
            try:
                self._utf8.decode(payload)
            except UnicodeDecodeError:
                return _NOT_UTF8
        return None

    def _message(self, opcode: int, payload: bytes, *, compressed: bool) -> Event:
        max_bytes, self._max_bytes = self._max_bytes, self._next_max_bytes
        if compressed:
            inflated = _inflate(payload, max_bytes)
            if isinstance(inflated, Violation):
                return inflated
            payload = inflated
        if opcode == _BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return _NOT_UTF8

    def _fail(self, events: list[Event], violation: Violation) -> list[Event]:
        self._finish()
        events.append(violation)
        return events

    def _finish(self) -> None:
        self._done = True
        self._buffer = None
        self._fragments = None


def _inflate(payload: bytes, max_bytes: int) -> bytes | Violation:
    """RFC 7692 §7.2.2. Stricter in one point: data behind a last block is refused, it costs another inflater."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(payload + _DEFLATE_END, max_bytes + 1)
    except zlib.error:
        return Violation(CloseCode.INVALID_DATA, "message does not inflate")
    if len(inflated) > max_bytes:
        return Violation(CloseCode.TOO_BIG, "message too large")
    if not inflater.eof or inflater.unused_data not in _AFTER_LAST_BLOCK:
        return Violation(CloseCode.INVALID_DATA, "message does not inflate")
    return inflated


def _close_event(payload: bytes) -> Event:
    if not payload:
        return CloseReceived(None, "")
    if len(payload) == 1:
        return Violation(CloseCode.PROTOCOL_ERROR, "close body of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        return Violation(CloseCode.PROTOCOL_ERROR, "invalid close code")
    try:
        return CloseReceived(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Violation(CloseCode.INVALID_DATA, "close reason is not UTF-8")
