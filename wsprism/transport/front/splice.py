"""Two sockets as one: what comes from either goes to the other, no faster than that takes it."""

from __future__ import annotations

import asyncio
from typing import Final, cast

__all__ = ["Side", "splice"]

_FLUSHED_WITHIN_S: Final = 10.0
"""Whoever takes nothing of what is left for it is cut off."""


class Side(asyncio.Protocol):
    """One of the two. ``on_end`` is called once it is gone."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: asyncio.Transport | None = None
        self.gone = False
        self._early = b""
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        elif not self.other.is_closing():
            self.other.write(data)

    def meets(self, other: asyncio.Transport) -> None:
        """From here on there is another side."""
        self.other = other
        if self._early:
            other.write(self._early)
            self._early = b""

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (either way it is gone)
        self.gone = True
        if self._cut is not None:
            self._cut.cancel()
        if self.other is not None:
            partner = self.other.get_protocol()
            self.other.close()
            if isinstance(partner, Side):
                partner.end_soon()

    def end_soon(self) -> None:
        """It is closing: what is left for it has its time."""
        if not self.gone and self.transport is not None:
            self._cut = asyncio.get_running_loop().call_later(_FLUSHED_WITHIN_S, self.transport.abort)


def splice(one: Side, other: Side) -> None:
    """Both are connected."""
    assert one.transport is not None
    assert other.transport is not None
    one.meets(other.transport)
    other.meets(one.transport)
    for side in (one, other):
        if side.gone:
            side.connection_lost(None)
