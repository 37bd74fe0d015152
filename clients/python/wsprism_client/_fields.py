"""Fields of what a gateway says, and of nothing else: what is not as it should be is as if it were not there."""

from __future__ import annotations

import math

__all__ = ["count", "seconds", "text", "whole"]

_MOST_S = 86_400.0
"""No gateway wants a client to wait longer."""


def whole(value: object) -> int | None:
    """An integer that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def count(value: object) -> float | None:
    """A number that is finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def seconds(ms: object) -> float:
    """Of a wait in milliseconds; 0 for what is none."""
    return min(_MOST_S, (count(ms) or 0.0) / 1000)


def text(value: object) -> str | None:
    """A string."""
    return value if isinstance(value, str) else None
