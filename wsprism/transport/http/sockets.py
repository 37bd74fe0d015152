"""What the gateway sets on TCP and Unix sockets: small kernel buffers, and an end that frees them at once.

A listening socket is tuned once and the sockets accepted from it inherit that; Unix sockets do not inherit and are
tuned one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

__all__ = ["BACKLOG", "reset", "tune"]

BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted."""

SEND_BUFFER_BYTES: Final = 64 * 1024
NOT_SENT_LOW_WATER_BYTES: Final = 16 * 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def tune(sock: socket.socket) -> None:
    """Keep what has left the queue, and can no longer be replaced, small: a peer that never reads pins it."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def reset(transport: asyncio.Transport) -> None:
    """Drop the socket with a reset: a peer that reads nothing would keep it in FIN-WAIT-1 for minutes."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
