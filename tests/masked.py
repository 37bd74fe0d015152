"""A client's frames for tests: masked, and as wrong as a test wants them (RFC 6455 §5.2)."""

from __future__ import annotations

import zlib

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FIN",
    "KEY",
    "PING",
    "PONG",
    "RSV1",
    "RSV2",
    "RSV3",
    "TEXT",
    "close_body",
    "compress",
    "frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
KEY = b"\x37\xfa\x21\x3d"


def frame(first: int, payload: bytes = b"", *, key: bytes | None = KEY, length_bytes: int | None = None) -> bytes:
    """One frame. ``first`` is the whole first byte; no ``key``: unmasked; ``length_bytes`` forces 0, 2 or 8 of them."""
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 0x10000 else 8
    short = {0: size, 2: 126, 8: 127}[length_bytes]
    head = bytes((first, short | (0 if key is None else 0x80))) + (size.to_bytes(length_bytes) if length_bytes else b"")
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def close_body(code: int, reason: str = "") -> bytes:
    """What stands in a Close (§5.5.1)."""
    return code.to_bytes(2) + reason.encode()


def compress(payload: bytes) -> bytes:
    """A compressed message's payload (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
