"""The client half of RFC 6455 that a load generator needs: the upgrade request and ready client frames.

The mask key is zero (section 5.3 asks for a mask, not for a useful one), so that a frame is built without touching its
payload. Frames that come in are never parsed: see ``counting``.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["binary_frame", "close_frame", "text_frame", "upgrade_request"]

_ZERO_MASK = bytes(4)
_KEY = "d3NwcmlzbS1iZW5jaC1rZQ=="
_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + _ZERO_MASK + payload


def text_frame(payload: bytes) -> bytes:
    """One final, masked text frame."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """One final, masked binary frame."""
    return _frame(_BINARY, payload)


def close_frame(code: int = 1000) -> bytes:
    """A masked close frame without a reason."""
    return _frame(_CLOSE, code.to_bytes(2, "big"))


def upgrade_request(target: str, host: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of an upgrade request (RFC 6455 section 4.1); ``target`` is the path with its query."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
