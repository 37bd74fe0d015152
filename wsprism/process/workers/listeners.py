"""Binds the address that clients come to, for as many workers as there are, and holds it while they come and go.

Where the system spreads connections over sockets of one address (SO_REUSEPORT) each worker has its own slot of them;
else, and for a Unix socket, there is one slot for all. A parent that holds a slot keeps those who wait in it: whichever
process accepts next gets them, so that none is reset when a worker ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, replace

from wsprism.config_file import ListenAddress
from wsprism.errors import OperatorError
from wsprism.transport.http.sockets import free_unix_path

__all__ = ["PublicSockets", "bind_public"]


@dataclass(frozen=True, slots=True)
class PublicSockets:
    """``address`` has the port that was got. ``inode`` is a Unix socket's."""

    address: ListenAddress
    slots: tuple[tuple[socket.socket, ...], ...]
    inode: int | None = None

    def close(self) -> None:
        """Nobody listens any more once the workers are gone."""
        for slot in self.slots:
            for one in slot:
                one.close()
        if self.inode is not None and self.address.path is not None:
            with contextlib.suppress(OSError):
                if os.stat(self.address.path).st_ino == self.inode:
                    os.unlink(self.address.path)


def bind_public(address: ListenAddress, slots: int) -> PublicSockets:
    """Raises OperatorError when the address cannot be had."""
    try:
        if address.path is not None:
            return _bind_unix(address, address.path)
        return _bind_tcp(address, slots if hasattr(socket, "SO_REUSEPORT") else 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OperatorError(f"cannot listen on {address}: {reason}") from error


def _bind_unix(address: ListenAddress, path: str) -> PublicSockets:
    free_unix_path(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        return PublicSockets(address, ((sock,),), os.stat(path).st_ino)
    except BaseException:
        sock.close()
        raise


def _bind_tcp(address: ListenAddress, slots: int) -> PublicSockets:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
    )
    places = list(dict.fromkeys((family, where) for family, _, _, _, where in found))
    bound: list[list[socket.socket]] = [[] for _ in range(slots)]
    port = address.port
    try:
        for family, where in places:
            with _bind(family, (where[0], port, *where[2:]), shared=False) as alone:
                port = alone.getsockname()[1]  # nobody else has it: sockets that share a port would not tell
            for slot in bound:
                slot.append(_bind(family, (where[0], port, *where[2:]), shared=slots > 1))
    except BaseException:
        for slot in bound:
            for one in slot:
                one.close()
        raise
    return PublicSockets(replace(address, port=port), tuple(tuple(slot) for slot in bound))


def _bind(family: int, where: tuple[object, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock
