"""The hot lane's binary frames: a three-byte header (four when versioned), an optional sequence number and an
optional room number, opaque bytes.

Owns both framings and what is a fault in them. Knows neither what a room is nor services; a payload is
never looked into. Called once per hot frame received, so decoding copies nothing.
"""

from enum import StrEnum
from typing import Final, final

import msgspec

__all__ = [
    "ACK_REQUESTED",
    "HOT_VERSION",
    "MAX_SENDER_BYTES",
    "ROOM_PRESENT",
    "SENDER_PRESENT",
    "SEQ_PRESENT",
    "Framing",
    "HotFault",
    "HotFrame",
    "decode_delivery",
    "decode_hot",
    "encode_hot",
    "renumbered",
    "with_room",
    "with_sender",
]

SEQ_PRESENT: Final = 0x01
ACK_REQUESTED: Final = 0x02
SENDER_PRESENT: Final = 0x04
ROOM_PRESENT: Final = 0x08

HOT_VERSION = 1
"""First byte of every frame in the versioned framing."""

MAX_SENDER_BYTES = 255
"""Longest user id, in bytes of UTF-8, that a frame can name as its sender."""

_SEQ_BYTES: Final = 4
_ROOM_BYTES: Final = 4


class Framing(StrEnum):
    """How a tenant's hot frames begin: `policy.hot_framing`."""

    COMPACT = "compact"
    VERSIONED = "versioned"


_VERSIONED: Final = Framing.VERSIONED
_NUMBERS: Final = SEQ_PRESENT | ROOM_PRESENT


class HotFrame(msgspec.Struct, frozen=True, gc=False):
    """One hot frame: its header, and the whole frame as it came.

    `seq` is None unless SEQ_PRESENT was set; flag bits that this version does not know are kept as they came.
    `room` is None unless ROOM_PRESENT was set. `sender` is only set by `decode_delivery`.
    """

    service_id: int
    opcode: int
    flags: int
    seq: int | None
    payload_offset: int
    raw: bytes
    sender: str | None = None
    room: int | None = None

    @property
    def payload(self) -> memoryview:
        """What follows the header, without copying."""
        return memoryview(self.raw)[self.payload_offset :]


@final
class HotFault(msgspec.Struct, frozen=True, gc=False):
    """Why a frame is not a hot frame; fit to be shown to the client."""

    reason: str


_TOO_SHORT = HotFault("frame is shorter than its header")
_WRONG_VERSION = HotFault("unsupported version of the hot framing")
_SEQ_TRUNCATED = HotFault("frame ends before its sequence number")
_ROOM_TRUNCATED = HotFault("frame ends before its room number")
_SENDER_FROM_CLIENT = HotFault("a client must not set the sender flag")
_SENDER_MALFORMED = HotFault("frame does not hold the sender it announces")


def decode_hot(raw: bytes, framing: Framing = Framing.COMPACT) -> HotFrame | HotFault:
    """Reads a frame that a client sent. Any bytes give a frame or a fault; nothing is raised."""
    at = 0
    if framing is _VERSIONED:
        if raw[:1] != b"\x01":
            return _WRONG_VERSION if raw else _TOO_SHORT
        at = 1
    if len(raw) < at + 3:
        return _TOO_SHORT
    flags = raw[at + 2]
    if flags & SENDER_PRESENT:
        return _SENDER_FROM_CLIENT
    if not flags & _NUMBERS:
        return HotFrame(raw[at], raw[at + 1], flags, None, at + 3, raw)
    seq = room = None
    offset = at + 3
    if flags & SEQ_PRESENT:
        offset += _SEQ_BYTES
        if len(raw) < offset:
            return _SEQ_TRUNCATED
        seq = int.from_bytes(raw[at + 3 : offset], "little")
    if flags & ROOM_PRESENT:
        offset += _ROOM_BYTES
        if len(raw) < offset:
            return _ROOM_TRUNCATED
        room = int.from_bytes(raw[offset - _ROOM_BYTES : offset], "little")
    return HotFrame(raw[at], raw[at + 1], flags, seq, offset, raw, None, room)


def decode_delivery(raw: bytes, framing: Framing = Framing.COMPACT) -> HotFrame | HotFault:
    """Reads a frame that a gateway sent, the sender's name included. Any bytes give a frame or a fault."""
    flags_at = 3 if framing is _VERSIONED else 2
    if len(raw) <= flags_at or not raw[flags_at] & SENDER_PRESENT:
        return decode_hot(raw, framing)
    flags = raw[flags_at]
    plain = decode_hot(raw[:flags_at] + bytes((flags & ~SENDER_PRESENT,)) + raw[flags_at + 1 :], framing)
    if isinstance(plain, HotFault):
        return plain
    start = plain.payload_offset + 1
    end = start + raw[start - 1] if len(raw) >= start else len(raw) + 1
    if end > len(raw):
        return _SENDER_MALFORMED
    try:
        sender = raw[start:end].decode()
    except UnicodeDecodeError:
        return _SENDER_MALFORMED
    return HotFrame(plain.service_id, plain.opcode, flags, plain.seq, end, raw, sender, plain.room)


def encode_hot(
    service_id: int,
    opcode: int,
    payload: bytes = b"",
    *,
    flags: int = 0,
    seq: int | None = None,
    room: int | None = None,
    framing: Framing = Framing.COMPACT,
) -> bytes:
    """A frame as a client sends it; SEQ_PRESENT and ROOM_PRESENT follow from `seq` and `room` being given.

    Raises ValueError when a number does not fit its field, or when `flags` announces what is not given.
    """
    if seq is not None:
        flags |= SEQ_PRESENT
    elif flags & SEQ_PRESENT:
        raise ValueError("SEQ_PRESENT needs a sequence number")
    if room is not None:
        flags |= ROOM_PRESENT
    elif flags & ROOM_PRESENT:
        raise ValueError("ROOM_PRESENT needs a room number")
    if flags & SENDER_PRESENT:
        raise ValueError("SENDER_PRESENT is set by with_sender only")
    if not (0 <= service_id <= 0xFF and 0 <= opcode <= 0xFF and 0 <= flags <= 0xFF):
        raise ValueError("service id, opcode and flags are one byte each")
    if seq is not None and not 0 <= seq <= 0xFFFFFFFF:
        raise ValueError("a sequence number is a u32")
    if room is not None and not 0 <= room <= 0xFFFFFFFF:
        raise ValueError("a room number is a u32")
    header = bytes((service_id, opcode, flags))
    if framing is _VERSIONED:
        header = bytes((HOT_VERSION,)) + header
    header += b"" if seq is None else seq.to_bytes(_SEQ_BYTES, "little")
    return header + (b"" if room is None else room.to_bytes(_ROOM_BYTES, "little")) + payload


def with_room(frame: HotFrame, room: int | None) -> HotFrame:
    """The frame from `decode_hot` with the room number `room`, whichever it had (None: without one)."""
    if frame.room == room:
        return frame
    raw, flags, offset = frame.raw, frame.flags & ~ROOM_PRESENT, frame.payload_offset
    numbers_at = offset - (0 if frame.room is None else _ROOM_BYTES)
    flags_at = numbers_at - (1 if frame.seq is None else 1 + _SEQ_BYTES)
    number = b""
    if room is not None:
        flags |= ROOM_PRESENT
        number = room.to_bytes(_ROOM_BYTES, "little")
    made = b"".join((raw[:flags_at], bytes((flags,)), raw[flags_at + 1 : numbers_at], number, raw[offset:]))
    return HotFrame(frame.service_id, frame.opcode, flags, frame.seq, numbers_at + len(number), made, None, room)


def renumbered(raw: bytes, room: int | None, framing: Framing = Framing.COMPACT) -> bytes:
    """The frame of a delivery, which `decode_delivery` can read, with the room number `room` (None: without one)."""
    flags_at = 3 if framing is _VERSIONED else 2
    flags = raw[flags_at]
    numbers_at = flags_at + 1 + (_SEQ_BYTES if flags & SEQ_PRESENT else 0)
    rest_at = numbers_at + (_ROOM_BYTES if flags & ROOM_PRESENT else 0)
    flags = flags & ~ROOM_PRESENT if room is None else flags | ROOM_PRESENT
    number = b"" if room is None else room.to_bytes(_ROOM_BYTES, "little")
    return b"".join((raw[:flags_at], bytes((flags,)), raw[flags_at + 1 : numbers_at], number, raw[rest_at:]))


def with_sender(frame: HotFrame, user: str) -> bytes:
    """The frame as receivers get it when its service names the sender: flag 0x04, length and id before the payload.

    `frame` must come from `decode_hot`. Raises ValueError for a user id above 255 bytes of UTF-8: a shortened id would
    be somebody else's.
    """
    name = user.encode()
    if len(name) > MAX_SENDER_BYTES:
        raise ValueError(f"a sender's id has at most {MAX_SENDER_BYTES} bytes")
    raw, offset = frame.raw, frame.payload_offset
    numbers_bytes = (0 if frame.seq is None else _SEQ_BYTES) + (0 if frame.room is None else _ROOM_BYTES)
    flags_at = offset - 1 - numbers_bytes
    return b"".join(
        (
            raw[:flags_at],
            bytes((frame.flags | SENDER_PRESENT,)),
            raw[flags_at + 1 : offset],
            bytes((len(name),)),
            name,
            raw[offset:],
        )
    )
