"""Accepts a listener's connections, some in a turn of the loop, and tells whoever cannot be had.

The event loops' own ways to accept take all that wait in one turn, show a TLS socket only once its handshake is done,
and without a descriptor left cut everybody off or wait for a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol.codes import ErrorCode
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.gate import NO_DESCRIPTOR, Gate, HalfOpen
from wsprism.transport.http.sockets import BACKLOG

__all__ = ["Acceptor"]

_log = logging.getLogger("wsprism.http")

ACCEPT_BATCH: Final = 32
ACCEPT_RETRY_S: Final = 0.05
SHUTDOWN_TIMEOUT_S: Final = 2.0
_TURNED_AWAY_AT_ONCE: Final = 16
_HEAD_BYTES: Final = 16 * 1024

_NO_TLS: Final = Refusal(400, ErrorCode.BAD_REQUEST, "Bad Request", "tls")


class Acceptor:
    """Gives each connection on ``sockets`` its ``gate``, whose time runs from the accept on.

    ``context``, where there is one, gives the TLS context of the moment. One descriptor is kept in reserve: when there
    is no other, those who wait are told so with it, one after the other.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        gate: Callable[[], Gate],
        half_open: HalfOpen,
        loop: asyncio.AbstractEventLoop,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._gate = gate
        self._half_open = half_open
        self._loop = loop
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._log = LimitedLog(_log, loop.time)
        self._spare = _spare_descriptor()
        self._sockets: dict[socket.socket, socket.socket] = {}
        self.listen_on(sockets)

    def listen_on(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from these, and no more from others: who waits at those is left to whoever else has them."""
        wanted = list(sockets)
        for gone in [one for one in self._sockets if one not in wanted]:
            sock = self._sockets.pop(gone)
            self._loop.remove_reader(sock)
            sock.close()
        for one in wanted:
            if one not in self._sockets:
                sock = self._sockets[one] = socket.socket(fileno=os.dup(one.fileno()))
                sock.setblocking(False)
                sock.listen(BACKLOG)
        if self._retry is None:
            self._read()

    def close(self) -> None:
        """Accept no more; handshakes under way go on."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.listen_on(())
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    async def wait_closed(self) -> None:
        """Wait for the handshakes under way, whose sockets somebody has dropped."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_TIMEOUT_S)

    def _read(self) -> None:
        self._retry = None
        for sock in self._sockets.values():
            self._loop.add_reader(sock, self._accept, sock)

    def _pause(self) -> None:
        """The listening socket stays readable, and trying on would take all of the CPU."""
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
        if self._retry is None:
            self._retry = self._loop.call_later(ACCEPT_RETRY_S, self._read)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._cannot_accept(listening, error)
                return
            sock.setblocking(False)
            gate = self._gate()
            gate.accepted(sock, address)
            task = self._loop.create_task(self._open(sock, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if sock.fileno() >= self._half_open.first_reserved:
                return  # those that have just come are to be answered, and their descriptors freed, before others come

    async def _open(self, sock: socket.socket, gate: Gate) -> None:
        try:
            if self._context is None:
                await self._loop.connect_accepted_socket(lambda: gate, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: gate,
                    sock,
                    ssl=self._context(),
                    # The gate's deadline, which runs from the accept, ends it and counts it: this one only comes after.
                    ssl_handshake_timeout=self._half_open.limits.timeout_s + SHUTDOWN_TIMEOUT_S,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
                )
        except ssl.SSLError:
            self._half_open.refuse(gate, _NO_TLS)
        except OSError:
            self._half_open.discard(gate)

    def _cannot_accept(self, listening: socket.socket, error: OSError) -> None:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            self._log.log("accept", "cannot accept connections", level=logging.ERROR, error=error.strerror)
            self._pause()
            return
        self._log.log("descriptors", "no descriptor is left for another connection", level=logging.ERROR)
        if self._half_open or self._context is not None:
            self._half_open.make_room()
            self._pause()
        else:
            self._turn_away(listening)

    def _turn_away(self, listening: socket.socket) -> None:
        """Nothing that is half-open could give way: tell some of those who wait, with the descriptor in reserve."""
        for _ in range(_TURNED_AWAY_AT_ONCE):
            if self._spare < 0:
                self._spare = _spare_descriptor()
            if self._spare < 0:
                self._pause()
                return
            os.close(self._spare)
            self._spare = -1
            try:
                sock, address = listening.accept()
            except OSError:
                break
            with sock, contextlib.suppress(OSError):
                self._half_open.turned_away(address)
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    sock.recv(_HEAD_BYTES)  # what is unread when a socket is closed takes the answer with it
                sock.send(NO_DESCRIPTOR.raw())
                sock.shutdown(socket.SHUT_WR)
        if self._spare < 0:
            self._spare = _spare_descriptor()


def _spare_descriptor() -> int:
    """-1 when there is none."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
