"""What a tenant's rooms remember, in this process's memory: gone with the process, and every answer there at once.

A thin face of `policy.history` and `policy.present`, which hold the rules; here are the clock, random epochs and whom
an eviction is told.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence

from wsprism.policy.history import Histories, History, HistoryBounds, Position
from wsprism.policy.present import PresentSessions
from wsprism.ports import HistoryItem, KeepPublication, Kept

__all__ = ["MemoryRoomStore"]

_EPOCH_BYTES = 9
_SWEPT_AT_ONCE = 1000


class MemoryRoomStore(PresentSessions):
    """A ``RoomStore``; ``now`` is monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self.on_evicted: Callable[[str], object] = lambda _: None
        self._now = now
        self._histories: Histories[Kept] = Histories(1, 1, self.new_epoch)
        self._to_sweep: list[str] = []

    def __len__(self) -> int:
        return len(self._histories)

    @property
    def size_bytes(self) -> int:
        return self._histories.size_bytes

    @property
    def evicted(self) -> int:
        return self._histories.evicted

    @property
    def expired(self) -> int:
        return self._histories.expired

    @staticmethod
    def new_epoch() -> str:
        return secrets.token_urlsafe(_EPOCH_BYTES)

    def configure(self, max_rooms: int, max_bytes: int) -> None:
        self._histories.max_rooms = max_rooms
        self._histories.max_bytes = max_bytes
        self._tell(self._histories.trim(""))

    def open(self, room: str, bounds: HistoryBounds, *, members: bool, epoch: str | None = None) -> Position:
        history, evicted = self._histories.of(room, bounds, self._now(), epoch)
        history.members = members
        self._tell(evicted)
        return history.position

    def position(self, room: str) -> Position | None:
        history = self._histories.find(room, self._now())
        return None if history is None else history.position

    def append(
        self,
        room: str,
        publications: Sequence[tuple[KeepPublication, str | None]],
        bounds: HistoryBounds,
        *,
        members: bool,
        epoch: str | None = None,
    ) -> list[int]:
        histories, now = self._histories, self._now()
        history, evicted = histories.of(room, bounds, now, epoch)
        history.members = members
        self._tell(evicted)
        offsets = []
        for keep, id in publications:
            known = None if id is None else history.offset_of(id)
            if known is None:
                kept = keep(history.top + 1)
                known = histories.append_to(history, kept, kept.size_bytes, now, id)
            offsets.append(known)
        self._tell(histories.trim(room))
        return offsets

    def missed(self, room: str, since: Position) -> int | None:
        return self._histories.missed(room, since, self._now())

    def after(self, room: str, since: Position, limit: int) -> list[HistoryItem] | None:
        history = self._histories.find(room, self._now())
        if history is None or history.epoch != since.epoch or not history.first - 1 <= since.offset <= history.top:
            return None
        return [HistoryItem(*one) for one in history.after(since.offset, limit)]

    def page(self, room: str, offset: int | None, limit: int, *, reverse: bool) -> list[HistoryItem]:
        now = self._now()
        self._histories.sweep([room], now)
        history = self._histories.find(room, now)
        if history is None:
            return []
        if reverse:
            found = history.before(history.top + 1 if offset is None else offset, limit)
        else:
            found = history.after(offset or 0, limit)
        return [HistoryItem(*one) for one in found]

    def left(self, room: str) -> None:
        now = self._now()
        history = self._histories.find(room, now)
        if history is not None and history.members:
            history.members = False
            history.used_at = now

    def purge(self, room: str) -> Position | None:
        history = self._histories.begin_anew(room, self._now())
        return None if history is None else history.position

    def drop(self, room: str) -> None:
        self._histories.drop(room)

    def clear(self) -> None:
        self._histories.clear()
        self.drop_all_entries()

    def names(self) -> list[str]:
        return list(self._histories.names())

    def sweep(self) -> None:
        if not self._to_sweep:
            self._to_sweep = self.names()
        some, self._to_sweep = self._to_sweep[:_SWEPT_AT_ONCE], self._to_sweep[_SWEPT_AT_ONCE:]
        self._histories.sweep(some, self._now())

    def newest_first(self) -> Iterator[tuple[str, History[Kept]]]:
        """All rooms and their histories, most recently used first; to be read while nothing changes."""
        return self._histories.newest_first()

    def put_back(self, room: str, history: History[Kept]) -> None:
        """Have a room go on with a history that outlived an earlier process, as the one used most recently."""
        self._tell(self._histories.put_back(room, history, self._now()))

    def _tell(self, evicted: Sequence[str]) -> None:
        for room in evicted:
            self.on_evicted(room)
