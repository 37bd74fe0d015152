"""TLS of a listener: the certificate, which may be renewed while it serves.

A handshake takes the certificate of the moment it begins; connections that stand keep theirs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from typing import Final

from wsprism.errors import OperatorError
from wsprism.settings import TlsSettings

__all__ = ["Certificate", "server_context"]

_log = logging.getLogger("wsprism.tls")

LOOK_INTERVAL_S: Final = 10.0

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

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
