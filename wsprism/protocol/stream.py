"""The backend's stream: what stands in its messages and in its hot frames (docs/backend.md).

Pure. Questions, answers, news and calls are JSON objects, or the same in MessagePack; hot frames are binary in both, on
the msgpack stream behind a byte 0xc1, which never begins MessagePack.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.protocol.nesting import is_portable, json_nests_too_deep

__all__ = [
    "STREAM_SUBPROTOCOL_JSON",
    "STREAM_SUBPROTOCOL_MSGPACK",
    "HotFromBackend",
    "StreamCodec",
    "StreamFault",
    "hot_to_backend",
]

STREAM_SUBPROTOCOL_JSON: Final = "wsprism.backend.v1"
STREAM_SUBPROTOCOL_MSGPACK: Final = "wsprism.backend.v1.msgpack"

_HOT_MARK: Final = 0xC1
_ROOM_BYTES: Final = 4


class HotFromBackend(msgspec.Struct, frozen=True, gc=False):
    """A hot frame that the backend publishes into the room with this number."""

    room_number: int
    frame: bytes


class StreamFault(msgspec.Struct, frozen=True, gc=False):
    """Why a message of the backend is none; fit to be told to it."""

    reason: str


def hot_to_backend(room_number: int, user: str, frame: bytes) -> bytes:
    """``[room number u32 LE][user id length u8][user id][hot frame]``. Raises ValueError for an id above 255 bytes."""
    name = user.encode()
    if len(name) > 0xFF:
        raise ValueError("a user id on the stream has at most 255 bytes")
    return b"".join((room_number.to_bytes(_ROOM_BYTES, "little"), bytes((len(name),)), name, frame))


class StreamCodec:
    """One stream's encoding."""

    def __init__(self, *, msgpack: bool) -> None:
        self.msgpack = msgpack
        self.encode = msgspec.msgpack.encode if msgpack else msgspec.json.encode

    def hot(self, payload: bytes) -> bytes:
        """The binary message that carries ``payload`` as a hot frame."""
        return b"\xc1" + payload if self.msgpack else payload

    def read(self, message: str | bytes) -> dict[str, Any] | list[Any] | HotFromBackend | StreamFault:
        """An object, a list of objects, or a hot frame. Anything at all gives one of these or a fault."""
        if isinstance(message, str):
            return StreamFault("text on a MessagePack stream") if self.msgpack else self._read_json(message)
        if not self.msgpack:
            return _read_hot(message)
        if message[:1] == b"\xc1":
            return _read_hot(message[1:])
        try:
            value = msgspec.msgpack.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return StreamFault("this is no MessagePack")
        return _checked(value) if is_portable(value) else StreamFault("this cannot be said in JSON, or nests too deep")

    @staticmethod
    def _read_json(text: str) -> dict[str, Any] | list[Any] | StreamFault:
        try:
            if json_nests_too_deep(text):
                return StreamFault("this nests too deep")
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return StreamFault("this is no JSON")
        return _checked(value)


def _checked(value: Any) -> dict[str, Any] | list[Any] | StreamFault:
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return value
    return StreamFault("a message is an object, or a list of calls")


def _read_hot(raw: bytes) -> HotFromBackend | StreamFault:
    if len(raw) <= _ROOM_BYTES:
        return StreamFault("a hot frame stands behind the four bytes of its room's number")
    return HotFromBackend(int.from_bytes(raw[:_ROOM_BYTES], "little"), raw[_ROOM_BYTES:])
