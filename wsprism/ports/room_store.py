"""What a tenant's rooms remember: their histories, and who is present."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from wsprism.policy.history import HistoryBounds, Position
from wsprism.policy.present import PresenceStore

__all__ = ["HistoryItem", "KeepPublication", "Kept", "Mirror", "RoomStore"]


class Kept(Protocol):
    """A publication as a history keeps it; what it is is its room's business."""

    @property
    def size_bytes(self) -> int:
        """What it counts towards the bounds."""
        ...


KeepPublication = Callable[[int], Kept]
"""Makes a publication what is to be kept, once its offset is known."""


class HistoryItem(NamedTuple):
    """A publication that is kept; ``at`` is monotonic seconds."""

    offset: int
    at: float
    kept: Any


class RoomStore(PresenceStore, Protocol):
    """What a tenant's rooms remember, by their names: their histories, and the entries of who is present.

    Nothing that is told of a room is ever told in part. Each call is one step. ``on_evicted`` is called with a room
    whose history went for want of room. Lengths, sizes and names are those of histories.
    """

    on_evicted: Callable[[str], object]

    def __len__(self) -> int:
        """Histories that are kept."""
        ...

    @property
    def size_bytes(self) -> int: ...
    @property
    def evicted(self) -> int: ...
    @property
    def expired(self) -> int: ...

    def new_epoch(self) -> str:
        """A name that was never given out before."""
        ...

    def configure(self, max_rooms: int, max_bytes: int) -> None:
        """Bound all of it."""
        ...

    def open(self, room: str, bounds: HistoryBounds, *, members: bool, epoch: str | None = None) -> Position:
        """Where the room stands; begun if it has no history, as ``epoch`` where that was given out for it already.

        While there are ``members`` only messages age.
        """
        ...

    def position(self, room: str) -> Position | None:
        """Where the room stands, if it has a history."""
        ...

    def append(
        self,
        room: str,
        publications: Sequence[tuple[KeepPublication, str | None]],
        bounds: HistoryBounds,
        *,
        members: bool,
        epoch: str | None = None,
    ) -> list[int]:
        """Keep a turn's publications, each with its id; begun as ``open`` does. Their offsets, without a gap.

        One whose id is known is not kept again: its offset is the first one's, and not above all before it.
        """
        ...

    def missed(self, room: str, since: Position) -> int | None:
        """How many came after ``since``; None when they cannot be told completely, or are too many."""
        ...

    def after(self, room: str, since: Position, limit: int) -> list[HistoryItem] | None:
        """Up to ``limit`` publications behind ``since``; None when the first of them is no longer kept."""
        ...

    def page(self, room: str, offset: int | None, limit: int, *, reverse: bool) -> list[HistoryItem]:
        """What is kept behind ``offset`` (None: from the oldest), or before it and newest first (None: all)."""
        ...

    def left(self, room: str) -> None:
        """The last member has gone: from now on its history has a time to live."""
        ...

    def purge(self, room: str) -> Position | None:
        """Forget what is kept and begin a new epoch; None: there is no history."""
        ...

    def drop(self, room: str) -> None:
        """Forget a room's history."""
        ...

    def clear(self) -> None:
        """Forget every room, and who is present."""
        ...

    def names(self) -> list[str]:
        """Rooms that have a history, the one used least recently first."""
        ...

    def sweep(self) -> None:
        """Give memory back that nobody asked for since; some of it at a time."""
        ...


class Mirror(RoomStore, Protocol):
    """What a broker keeps of rooms, as far as this node has members there."""

    def load(self, room: str, position: Position, bounds: HistoryBounds, kept: Sequence[tuple[Kept, float]]) -> None:
        """Have a room stand at ``position``, with what leads up to it: each with its age in seconds, oldest first.

        What was mirrored of it before is forgotten.
        """
        ...
