"""Time as the core reads it: given, never asked of the system."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Clock"]


Clock = Callable[[], float]
"""Monotonic seconds."""
