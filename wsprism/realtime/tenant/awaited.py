"""A value that comes once, to whoever has asked for it before or asks for it later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Awaited"]

T = TypeVar("T")


class Awaited(Generic[T]):
    """``then`` may be called at any time, and so often as there are who want it."""

    __slots__ = ("_came", "_told")

    def __init__(self) -> None:
        self._came: list[T] = []
        self._told: list[Callable[[T], object]] = []

    def come(self, value: T) -> None:
        """Here it is."""
        self._came.append(value)
        told, self._told = self._told, []
        for one in told:
            one(value)

    def then(self, told: Callable[[T], object]) -> None:
        """``told`` is called with it, now if it is there."""
        if self._came:
            told(self._came[0])
        else:
            self._told.append(told)
