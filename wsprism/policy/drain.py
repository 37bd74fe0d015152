"""When each client of a draining gateway is closed and when it is told to come back: spread out, never all at once.

Pure: a client's part follows from its number alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DrainPlan", "Farewell"]

LEAST_RECONNECT_WINDOW_MS: Final = 1000
"""Clients come back over at least this long, however short the grace is."""

LEAST_GRACE_MS: Final = 100
"""What a grace of 0 still waits for: that what was said leaves, and that clients nearby answer."""

_GOLDEN_RATIO: Final = 0.6180339887498949
"""Its multiples, modulo 1, fill an interval evenly, however many there are of them (Weyl sequence)."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """One client's part; both times count from the beginning of the drain, when it is told."""

    close_after_ms: int
    reconnect_after_ms: int
    """Not before it is closed, and at least 1."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """``grace_ms`` for everything; of it ``flush_ms``, but at most half, is left to whoever is closed last."""

    grace_ms: int
    flush_ms: int

    @property
    def wait_ms(self) -> int:
        """How long the end of all connections is waited for."""
        return max(self.grace_ms, LEAST_GRACE_MS)

    @property
    def close_window_ms(self) -> int:
        """Closes are spread over this long."""
        return self.grace_ms - min(self.flush_ms, self.grace_ms // 2)

    @property
    def reconnect_window_ms(self) -> int:
        """Reconnects are spread over this long."""
        return max(self.grace_ms, LEAST_RECONNECT_WINDOW_MS)

    def farewell(self, number: int) -> Farewell:
        """The part of the client with this number, from 0; consecutive numbers lie far apart."""
        place = (number + 1) * _GOLDEN_RATIO % 1
        return Farewell(int(place * self.close_window_ms), 1 + int(place * self.reconnect_window_ms))
