"""What a broker answers when something has its place in the order of a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Ordered"]


@dataclass(frozen=True, slots=True)
class Ordered:
    """A turn has its places: ``offsets`` in the order of its drafts.

    Those that were published just now are ``first``, ``first`` + 1 … without a gap; one that is not above all before it
    was known by its id, has the first one's offset and was left out. ``version`` is that of a change of a value.
    """

    epoch: str
    first: int
    offsets: Sequence[int]
    version: int = 0
