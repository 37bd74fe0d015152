"""What a room does with itself, at a place in its order like what others say to it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Step"]


class Step:
    """``work``: as much as so many joins."""

    __slots__ = ("carry_out", "work")

    def __init__(self, carry_out: Callable[[], object], work: int) -> None:
        self.carry_out = carry_out
        self.work = work
