"""Histories that are kept elsewhere, as far as this node has members in their rooms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.policy.history import History, HistoryBounds, Position
from wsprism.ports import Kept

__all__ = ["MirrorStore"]

_NO_LIMIT = 1 << 62


class MirrorStore(MemoryRoomStore):
    """A ``Mirror``. It evicts nothing: what it mirrors is bounded where it is kept."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.configure(_NO_LIMIT, _NO_LIMIT)

    def load(self, room: str, position: Position, bounds: HistoryBounds, kept: Sequence[tuple[Kept, float]]) -> None:
        now = self._now()
        items = [(one, one.size_bytes, now - age_s, None) for one, age_s in kept]
        history = History.restored(position, bounds, now, items, now)
        history.members = True
        self.put_back(room, history)
