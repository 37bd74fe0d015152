"""What the gateway sets on TCP and Unix sockets: small buffers, an end that frees them; what it asks.

A listening socket is tuned once and the sockets accepted from it inherit that; Unix sockets do not inherit and are
tuned one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import socket
import stat
import struct
import sys
import termios
from typing import Any, Final

__all__ = [
    "BACKLOG",
    "beneath_tls",
    "first_reserved_descriptor",
    "free_unix_path",
    "limit_unsent",
    "reset",
    "taken_by_peer",
    "tune",
]

BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted."""

SEND_BUFFER_BYTES: Final = 64 * 1024
RECEIVE_BUFFER_BYTES: Final = 64 * 1024
NOT_SENT_LOW_WATER_BYTES: Final = 16 * 1024
_IS_LINUX: Final = sys.platform == "linux"
_BYTES_ACKED: Final = struct.Struct("=120xQ")
"""``tcpi_bytes_acked`` of ``struct tcp_info`` (linux/tcp.h, since 4.1)."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

_MOST_RESERVED: Final = 256
_RESERVED_SHARE: Final = 8


def first_reserved_descriptor() -> int:
    """From this descriptor on no client becomes a connection: the rest is for health checks, backends and refusals.

    The system gives the lowest number that is free, so a number tells how many are in use.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return limit - min(_MOST_RESERVED, limit // _RESERVED_SHARE)


def tune(sock: socket.socket) -> None:
    """Keep what has left the queue, and can no longer be replaced, small: a peer that never reads pins it.

    What waits to be read is kept small too: a peer that pours pins it.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
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


def taken_by_peer(transport: asyncio.BaseTransport) -> int:
    """A number of the kernel's that changes when the peer has taken something; 0 where it cannot be had.

    TCP: bytes acknowledged. Others: bytes that wait to be taken. It holds below TLS too, where what a transport tells
    of its buffers leaves out those that are not its own.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or not _IS_LINUX:
        return 0
    try:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            acknowledged: int = _BYTES_ACKED.unpack(
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
            )[0]
            return acknowledged
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError, struct.error):
        return 0


def limit_unsent(transport: asyncio.Transport, high_bytes: int) -> None:
    """Have ``transport`` say that it is full from about so many bytes on that the kernel has not taken.

    A TLS transport has another one beneath it with a buffer of its own, 64 KiB of which it does not count: each gets
    half. Where the lower one cannot be had, everything that is not in it counts.
    """
    if transport.get_extra_info("ssl_object") is None:
        transport.set_write_buffer_limits(high=high_bytes)
        return
    beneath = beneath_tls(transport)
    if beneath is not None:
        beneath.set_write_buffer_limits(high=high_bytes // 2)
        transport.set_write_buffer_limits(high=high_bytes // 2)
    else:
        transport.set_write_buffer_limits(high=1)


def beneath_tls(transport: asyncio.Transport) -> asyncio.WriteTransport | None:
    """The transport of the socket itself; None where it is not found.

    No event loop gives it out, so it is looked for among what the TLS layer refers to.
    """
    for layer in _held_by(transport):
        if type(layer).__name__ == "SSLProtocol":
            for one in _held_by(layer):
                if one is not transport and hasattr(one, "set_write_buffer_limits"):
                    found: asyncio.WriteTransport = one
                    return found
    return None


def _held_by(holder: object) -> list[Any]:
    """What ``holder`` refers to, by itself or by its ``__dict__``: which it is depends on the interpreter."""
    held = gc.get_referents(holder)
    return held + [one for names in held if isinstance(names, dict) for one in names.values()]


def free_unix_path(path: str) -> None:
    """Remove the socket that a dead process left at ``path``. Raises OSError when somebody listens there."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        try:
            asking.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
            return
    raise OSError("somebody else listens there")
