"""The forms in which one connection wants its frames: the codec of its ext lane, and compression.

A room encodes a publication once per form in use and shares the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from wsprism.protocol.deflate import MIN_DEFLATE_BYTES, deflate
from wsprism.protocol.envelope import JSON, MSGPACK, Codec
from wsprism.protocol.frames import binary_frame, pong_frame, text_frame

__all__ = ["WIRE_FORMATS", "WireFormat", "wire_format"]


class FrameMaker(Protocol):
    """``text_frame`` or ``binary_frame``."""

    def __call__(self, payload: bytes, *, deflated: bool = False) -> bytes: ...


class WireFormat:
    """Encodes ext messages into ready server frames. Four exist; compare them by identity.

    ``frame``: a payload of the codec as one ready frame; ``binary``: the codec's are.
    """

    __slots__ = ("binary", "codec", "deflated", "frame")

    def __init__(self, codec: Codec, *, deflated: bool) -> None:
        self.codec = codec
        self.binary = codec.binary
        self.deflated = deflated
        plain: Callable[[bytes], bytes] = binary_frame if codec.binary else text_frame
        self.frame = self._deflated if deflated else plain

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """``message`` as one ready frame."""
        return self.frame(self.codec.encode(message))

    def wrap(self, payload: bytes, *, binary: bool) -> bytes:
        """``payload`` as one ready frame of either kind."""
        return self._wrap(payload, binary_frame if binary else text_frame)

    def pong(self, payload: bytes) -> bytes:
        """The answer to a peer's ping as one ready frame."""
        return pong_frame(payload)

    def _deflated(self, payload: bytes) -> bytes:
        return self._wrap(payload, binary_frame if self.codec.binary else text_frame)

    def _wrap(self, payload: bytes, frame: FrameMaker) -> bytes:
        if self.deflated and len(payload) >= MIN_DEFLATE_BYTES:
            return frame(deflate(payload), deflated=True)
        return frame(payload)


WIRE_FORMATS: Final = {
    (codec.name, deflated): WireFormat(codec, deflated=deflated)
    for codec in (JSON, MSGPACK)
    for deflated in (False, True)
}


def wire_format(codec: Codec, *, deflated: bool) -> WireFormat:
    """The one format of this codec and compression."""
    return WIRE_FORMATS[codec.name, deflated]
