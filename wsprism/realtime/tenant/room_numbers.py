"""A number for each live room of a tenant: what stands for its name in hot frames.

A number is a u32 that is given again only after all others. Pure bookkeeping for the registry.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RoomNumbers"]

_MOST: Final = 0xFFFF_FFFF


class RoomNumbers:
    """``last`` is the number that was given last: whoever takes its place goes on from there."""

    __slots__ = ("_names", "last")

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._names: dict[int, str] = {}

    def give(self, name: str) -> int:
        """A number that no live room has."""
        while True:
            self.last = self.last + 1 if self.last < _MOST else 1
            if self.last not in self._names:
                self._names[self.last] = name
                return self.last

    def take_back(self, number: int) -> None:
        """Its room is closed. Idempotent."""
        self._names.pop(number, None)

    def name_of(self, number: int) -> str | None:
        """The live room with this number; None: there is none."""
        return self._names.get(number)
