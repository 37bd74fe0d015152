"""The backend's stream: what stands in its messages and in its hot frames (docs/backend.md).

Pure. Questions, answers, news and calls are JSON objects, or the same in MessagePack; hot frames are binary in both, on
the msgpack stream behind a byte 0xc1, which never begins MessagePack. Everything is JSON inside the gateway: an answer
is read by whoever reads the same answer over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from wsprism.protocol.frames import binary_frame, text_frame
from wsprism.protocol.nesting import MAX_DEPTH, is_portable, json_nests_too_deep

__all__ = [
    "STREAM_SUBPROTOCOL_JSON",
    "STREAM_SUBPROTOCOL_MSGPACK",
    "Fields",
    "HotFromBackend",
    "StreamCodec",
    "StreamFault",
    "hot_to_backend",
]

STREAM_SUBPROTOCOL_JSON: Final = "wsprism.backend.v1"
STREAM_SUBPROTOCOL_MSGPACK: Final = "wsprism.backend.v1.msgpack"

_HOT_MARK: Final = b"\xc1"
_ROOM_BYTES: Final = 4
_MAX_DEPTH: Final = 2 * MAX_DEPTH  # data within is counted by itself

Fields = Mapping[str, msgspec.Raw]
"""One object: the raw JSON of each of its fields."""

_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


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

    def frame(self, body: bytes) -> bytes:
        """The ready WebSocket frame that says ``body``, which is JSON.

        Raises ValueError (or OverflowError) for a number that MessagePack does not have.
        """
        if not self.msgpack:
            return text_frame(body)
        return binary_frame(msgspec.msgpack.encode(msgspec.json.decode(body)))

    def hot_frame(self, payload: bytes) -> bytes:
        """The ready WebSocket frame that carries ``payload`` as a hot frame."""
        return binary_frame(_HOT_MARK + payload if self.msgpack else payload)

    def read(self, message: str | bytes) -> Fields | list[Fields] | HotFromBackend | StreamFault:
        """An object, a list of objects, or a hot frame. Anything at all gives one of these or a fault."""
        if isinstance(message, str):
            return StreamFault("text on a MessagePack stream") if self.msgpack else _read_json(message)
        if not self.msgpack:
            return _read_hot(message)
        if message[:1] == _HOT_MARK:
            return _read_hot(message[1:])
        try:
            value: Any = msgspec.msgpack.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return StreamFault("this is no MessagePack")
        if not is_portable(value):
            return StreamFault("this cannot be said in JSON, or nests too deep")
        return _read_json(msgspec.json.encode(value).decode())


def _read_json(text: str) -> Fields | list[Fields] | StreamFault:
    try:
        if json_nests_too_deep(text, _MAX_DEPTH):
            return StreamFault("this nests too deep")
        if not text.lstrip(" \t\r\n").startswith("["):
            return _read_object(text)
        return [*_read_objects(text)] or StreamFault("a list of calls holds at least one")
    except msgspec.ValidationError:
        return StreamFault("a message is an object, or a list of calls")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return StreamFault("this is no JSON")


def _read_hot(raw: bytes) -> HotFromBackend | StreamFault:
    if len(raw) <= _ROOM_BYTES:
        return StreamFault("a hot frame stands behind the four bytes of its room's number")
    return HotFromBackend(int.from_bytes(raw[:_ROOM_BYTES], "little"), raw[_ROOM_BYTES:])
