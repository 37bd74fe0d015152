"""What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that the loop still turns.

Silent when nobody listens (no ``NOTIFY_SOCKET``). A message is one datagram and never blocks; what cannot be sent is
left out, since a gateway must not fail for its manager.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

from actors import Cancellable, Scheduler

__all__ = ["ServiceManager", "watchdog_interval_s"]

_STOP_MARGIN_S: Final = 10.0


class ServiceManager:
    """``environment`` is where the manager says how to reach it (``NOTIFY_SOCKET``, ``WATCHDOG_USEC``)."""

    def __init__(self, environment: Mapping[str, str], scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._socket: socket.socket | None = None
        self._watchdog: Cancellable | None = None
        self._interval_s = watchdog_interval_s(environment)
        address = environment.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The gateway serves; also the end of a reload. From the first time on the watchdog is fed."""
        self._send("READY=1", f"STATUS={status}")
        if self._watchdog is None and self._interval_s is not None:
            self._feed()

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, within_s: float) -> None:
        """The gateway drains, which may take ``within_s``; the watchdog is fed on."""
        usec = round((within_s + _STOP_MARGIN_S) * 1_000_000)
        self._send("STOPPING=1", "STATUS=draining", f"EXTEND_TIMEOUT_USEC={usec}")

    def close(self) -> None:
        """Say nothing more."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _feed(self) -> None:
        """From a timer of the loop: when the loop hangs, this stops, and the manager acts."""
        assert self._interval_s is not None
        self._send("WATCHDOG=1")
        self._watchdog = self._scheduler.call_later(self._interval_s, self._feed)

    def _send(self, *assignments: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(assignments).encode(), self._address)


def watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    """Half the time after which the manager gives up (sd_watchdog_enabled(3)); None: it does not watch this process."""
    usec = environment.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or int(usec) == 0 or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 2_000_000
