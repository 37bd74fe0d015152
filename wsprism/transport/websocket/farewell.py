"""Sockets that have been told everything: each is closed when its peer says goodbye, or when its time is over.

RFC 6455 §7.1.1 has the server close TCP after both sides have said Close, and Firefox shows a page nothing of what came
before when the end follows the answer to the handshake too soon. One timer for all; beyond a number the oldest goes.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Farewell", "Farewells"]

FAREWELL_S: Final = 1.0
MOST_FAREWELLS: Final = 256


class Farewell(asyncio.Protocol):
    """The protocol of one such socket: whatever the peer says now is its goodbye."""

    def __init__(self, transport: asyncio.Transport, due_at: float, farewells: Farewells) -> None:
        self.transport = transport
        self.due_at = due_at
        self._farewells = farewells

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 (whatever it says)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (it was to end)
        self._farewells.gone(self)


class Farewells:
    """All of them, the oldest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Farewell, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, transport: asyncio.Transport) -> Farewell:
        """The protocol that ``transport`` is to have from here on."""
        if len(self._waiting) >= MOST_FAREWELLS:
            next(iter(self._waiting)).transport.abort()
        farewell = Farewell(transport, self._loop.time() + FAREWELL_S, self)
        self._waiting[farewell] = None
        self._set_timer()
        return farewell

    def gone(self, farewell: Farewell) -> None:
        """Its socket is closed."""
        self._waiting.pop(farewell, None)

    def end(self) -> None:
        """Wait for nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for farewell in list(self._waiting):
            farewell.transport.abort()

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_at(next(iter(self._waiting)).due_at, self._on_due)

    def _on_due(self) -> None:
        self._timer = None
        now = self._loop.time()
        for farewell in list(self._waiting):
            if farewell.due_at > now:
                break
            self.gone(farewell)
            farewell.transport.abort()
        self._set_timer()
