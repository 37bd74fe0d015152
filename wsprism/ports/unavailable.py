"""What those answer who are asked over nodes and cannot."""

from __future__ import annotations

from enum import Enum

__all__ = ["Unavailable"]


class Unavailable(Enum):
    """What was asked did not happen, and never will by itself: it may be asked again later."""

    AWAY = "away"
    """There is nobody to ask, or this node may not write (its lease is over)."""
    OVERLOADED = "overloaded"
    """Too much waits for answers already."""
