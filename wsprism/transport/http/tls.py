"""TLS of a listener: the certificate, which may be renewed while it serves, and the accepting of TLS sockets.

A handshake takes the certificate of the moment it begins; connections that stand keep theirs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from wsprism.errors import OperatorError
from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol.codes import ErrorCode
from wsprism.settings import TlsSettings
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.gate import Gate, HalfOpen
from wsprism.transport.http.sockets import BACKLOG

__all__ = ["Certificate", "TlsAcceptor", "server_context"]

_log = logging.getLogger("wsprism.tls")

LOOK_INTERVAL_S: Final = 10.0
SHUTDOWN_TIMEOUT_S: Final = 2.0
ACCEPT_BATCH: Final = 64
ACCEPT_RETRY_S: Final = 0.1

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NO_TLS: Final = Refusal(400, ErrorCode.BAD_REQUEST, "Bad Request", "tls")

Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The files that ``gateway.tls`` names, as the context that new handshakes use."""

    def __init__(self, settings: TlsSettings, loop: asyncio.AbstractEventLoop) -> None:
        """Read them. Raises OperatorError when they cannot be used."""
        self._settings = settings
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._stamp = self._look()
        self.context = server_context(settings)

    def reload(self) -> None:
        """Read the files anew. Raises OperatorError when they cannot be used; the old certificate then stays."""
        self._stamp = self._look()
        self.context = server_context(self._settings)
        _log.info("certificate loaded", extra={"cert_file": self._settings.cert_file})

    def prepare(self, settings: TlsSettings) -> Callable[[], None]:
        """Read the files of other settings; calling the result puts them in force. Raises OperatorError."""
        context = server_context(settings)

        def use() -> None:
            self._settings = settings
            self._stamp = self._look()
            self.context = context

        return use

    def watch(self) -> None:
        """Every ten seconds take over files that have changed; a pair that cannot be used is logged once."""
        self._timer = self._loop.call_later(LOOK_INTERVAL_S, self._on_timer)

    def take_changes(self) -> None:
        """Reload if the files have changed since the last look at them."""
        if self._look() != self._stamp:
            try:
                self.reload()
            except OperatorError as error:
                _log.error("the changed certificate cannot be used; the old one stays", extra={"error": str(error)})

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self.watch()
        self.take_changes()

    def _look(self) -> Stamp:
        stamp = []
        for path in (self._settings.cert_file, self._settings.key_file):
            try:
                status = os.stat(path or "")
            except OSError:
                stamp.append((0, 0, 0))
            else:
                stamp.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamp)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """What these files and versions make. Raises OperatorError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.cert_file or "", settings.key_file, password=_no_password)
    except ssl.SSLError as exc:
        reason = "certificate and key do not fit" if exc.reason == "KEY_VALUES_MISMATCH" else "not a PEM certificate"
        raise OperatorError(f"gateway.tls: {settings.cert_file}, {settings.key_file}: {reason}") from exc
    except OSError as exc:
        names = f"{settings.cert_file}, {settings.key_file}"
        raise OperatorError(f"gateway.tls: {names}: {exc.strerror or exc}") from exc
    return context


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal."""
    raise OperatorError("gateway.tls.key_file is encrypted: give the key without a passphrase")


class TlsAcceptor:
    """Accepts on ``sockets`` and gives each connection its ``gate``, whose time runs from before the TLS handshake.

    The event loop's own way to accept would show a socket only once its handshake is done, and the half-open ones
    could neither be counted nor closed.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        gate: Callable[[], Gate],
        certificate: Certificate,
        half_open: HalfOpen,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._gate = gate
        self._certificate = certificate
        self._half_open = half_open
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._log = LimitedLog(_log, loop.time)
        self._sockets = [socket.socket(fileno=os.dup(one.fileno())) for one in sockets]
        for sock in self._sockets:
            sock.setblocking(False)
            sock.listen(BACKLOG)
        self._read()

    def close(self) -> None:
        """Accept no more; handshakes under way go on."""
        if self._retry is not None:
            self._retry.cancel()
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    async def wait_closed(self) -> None:
        """Wait for the handshakes under way, whose sockets somebody has dropped."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_TIMEOUT_S)

    def _read(self) -> None:
        self._retry = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _pause(self, reason: str) -> None:
        """Out of descriptors, say: the listening socket stays readable, and trying on would take all of the CPU."""
        self._log.log("accept", "cannot accept connections", level=logging.ERROR, error=reason)
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        if self._retry is None:
            self._retry = self._loop.call_later(ACCEPT_RETRY_S, self._read)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._pause(exc.strerror or str(exc))
                return
            sock.setblocking(False)
            gate = self._gate()
            gate.accepted(sock, address)
            task = self._loop.create_task(self._shake_hands(sock, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _shake_hands(self, sock: socket.socket, gate: Gate) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: gate,
                sock,
                ssl=self._certificate.context,
                ssl_handshake_timeout=self._half_open.limits.timeout_s,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            )
        except ssl.SSLError:
            self._half_open.refuse(gate, _NO_TLS)
        except OSError:
            self._half_open.discard(gate)
