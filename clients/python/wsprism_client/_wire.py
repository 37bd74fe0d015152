"""The wire format: envelopes in JSON or MessagePack, and hot frames (docs/protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ACK_REQUESTED", "SEQ_PRESENT", "Codec", "HotFrame", "byte_length", "decode_hot", "encode_hot"]

SEQ_PRESENT = 1
ACK_REQUESTED = 4

_SEQ = 0x01
_SENDER = 0x04
_ROOM = 0x08


@dataclass(frozen=True)
class HotFrame:
    """A frame of the hot lane. ``room`` is the name of the room that it came from, where the frame tells."""

    service: int
    opcode: int
    flags: int
    payload: bytes
    seq: int | None = None
    sender: str | None = None
    room: str | None = None


class Codec:
    """One connection's encoding of the ext lane. Raises ImportError when MessagePack is asked for and not installed."""

    def __init__(self, format: str) -> None:
        if format not in ("json", "msgpack"):
            raise ValueError("format is 'json' or 'msgpack'")
        self.msgpack = format == "msgpack"
        self.subprotocol = "wsprism.v1.msgpack" if self.msgpack else "wsprism.v1"
        if self.msgpack:
            import msgpack  # type: ignore[import-untyped, unused-ignore]

            self._pack: Callable[[Any], bytes] = msgpack.packb
            self._unpack: Callable[[bytes], Any] = msgpack.unpackb

    def encode(self, message: dict[str, Any]) -> str | bytes:
        """Raises TypeError or ValueError for data that cannot be sent."""
        if self.msgpack:
            return self._pack(message)
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def with_seq(self, encoded: str | bytes, seq: int) -> str | bytes:
        """An encoded message with a ``seq`` put in front: what was made once may be sent many times."""
        if isinstance(encoded, str):
            return f'{{"seq":{seq},{encoded[1:]}'
        field = self._pack({"seq": seq})  # a map of one, as ``encoded`` is one of up to fourteen
        return bytes((encoded[0] + 1,)) + field[1:] + encoded[1:]

    def decode(self, message: str | bytes) -> dict[str, Any] | tuple[HotFrame, int | None] | None:
        """An envelope, or a hot frame and the number of its room; None for what is neither."""
        try:
            if isinstance(message, str):
                value = json.loads(message)
            elif self.msgpack and message and (message[0] & 0xF0 == 0x80 or message[0] in (0xDE, 0xDF)):
                value = self._unpack(message)
            else:
                return decode_hot(message)
        except Exception:
            return None
        return value if isinstance(value, dict) else None


def byte_length(encoded: str | bytes) -> int:
    """Of a message as it is sent."""
    return len(encoded.encode() if isinstance(encoded, str) else encoded)


def encode_hot(service: int, opcode: int, payload: bytes, number: int | None = None) -> bytes:
    """A frame in the compact framing; ``number`` stands for its room. Raises ValueError for what does not fit."""
    flags = 0 if number is None else _ROOM
    head = bytes((service, opcode, flags))
    return head + (b"" if number is None else number.to_bytes(4, "little")) + payload


def decode_hot(raw: bytes) -> tuple[HotFrame, int | None] | None:
    """A frame as a gateway sends it, and the number of its room; None when it is cut short."""
    if len(raw) < 3:
        return None
    flags, at = raw[2], 3
    seq = number = sender = None
    if flags & _SEQ:
        seq, at = int.from_bytes(raw[at : at + 4], "little"), at + 4
    if flags & _ROOM:
        number, at = int.from_bytes(raw[at : at + 4], "little"), at + 4
    if flags & _SENDER:
        if at >= len(raw):
            return None
        size = raw[at]
        sender = raw[at + 1 : at + 1 + size].decode("utf-8", "replace")
        at += 1 + size
    if at > len(raw):
        return None
    return HotFrame(raw[0], raw[1], flags, raw[at:], seq, sender), number
