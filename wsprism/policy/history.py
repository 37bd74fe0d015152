"""What a room remembers: a window of its publications with offsets without a gap, under the name of one epoch.

Pure: time is an argument, epochs are given, and what a publication is does not matter here. A ``History`` is one room's
window; ``Histories`` are a tenant's, bounded in number and bytes: beyond, the one used least recently goes whole, for a
part of a history would be a lie.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from wsprism.protocol.places import Position

__all__ = ["Histories", "History", "HistoryBounds", "Position"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """Of one room: the newest ``max_messages`` within ``max_bytes``, none older than ``ttl_s``."""

    max_messages: int
    max_bytes: int
    ttl_s: float
    recover_max_messages: int


class _Kept(msgspec.Struct, gc=False):
    publication: object
    size_bytes: int
    at: float
    id: str | None


class History(Generic[T]):
    """``top`` is the last offset that was given, 0 before the first; ``first`` that of the oldest kept."""

    __slots__ = ("_ids", "_kept", "bounds", "epoch", "first", "members", "size_bytes", "top", "used_at")

    def __init__(self, epoch: str, bounds: HistoryBounds, now: float) -> None:
        self.epoch = epoch
        self.bounds = bounds
        self.top = 0
        self.first = 1
        self.size_bytes = 0
        self.members = False
        """Whether anybody is in the room: while there is, only messages age."""
        self.used_at = now
        """The last publication, or the last member's leave, whichever is later."""
        self._kept: deque[_Kept] = deque()
        self._ids: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.epoch, self.top)

    def append(self, publication: T, size_bytes: int, now: float, id: str | None = None) -> int:
        """Keep one more, and drop what is no longer within the bounds. Its offset."""
        self._add(publication, size_bytes, now, id)
        self.used_at = now
        self._trim(now)
        return self.top

    @classmethod
    def restored(
        cls,
        position: Position,
        bounds: HistoryBounds,
        used_at: float,
        kept: Sequence[tuple[T, int, float, str | None]],
        now: float,
    ) -> History[T]:
        """One that went on elsewhere until now: ``kept`` (publication, size, time, id) leads up to ``position``.

        What is beyond ``bounds`` goes. Raises ValueError for more than there were ever published.
        """
        if len(kept) > position.offset:
            raise ValueError(f"{len(kept)} publications up to offset {position.offset}")
        history = cls(position.epoch, bounds, min(used_at, now))
        history.top = position.offset - len(kept)
        history.first = history.top + 1
        for publication, size_bytes, at, id in kept:
            history._add(publication, size_bytes, min(at, now), id)
        history._trim(now)
        return history

    def all_kept(self) -> Iterator[tuple[T, float, str | None]]:
        """Everything that is kept, oldest first: publication, time and id."""
        for kept in self._kept:
            yield kept.publication, kept.at, kept.id  # type: ignore[misc]

    def offset_of(self, id: str) -> int | None:
        """The offset of the publication with this id, if it is kept."""
        return None if self._ids is None else self._ids.get(id)

    def expire(self, now: float) -> None:
        """Drop what is too old."""
        oldest_allowed = now - self.bounds.ttl_s
        while self._kept and self._kept[0].at <= oldest_allowed:
            self._drop_oldest()

    def ends_at(self) -> float | None:
        """When all of it is over; None: not while there are members."""
        return None if self.members else self.used_at + self.bounds.ttl_s

    def missed(self, since: Position, now: float) -> int | None:
        """How many publications came after ``since``; None when they cannot be told completely, or are too many."""
        self.expire(now)
        if since.epoch != self.epoch or since.offset > self.top or since.offset < self.first - 1:
            return None
        count = self.top - since.offset
        return count if count <= self.bounds.recover_max_messages else None

    def after(self, offset: int, limit: int) -> Iterator[tuple[int, float, T]]:
        """Up to ``limit`` of what is kept behind ``offset``: offset, time and publication, oldest first."""
        start = max(offset + 1, self.first)
        skip = start - self.first
        for number, kept in enumerate(islice(self._kept, skip, skip + limit), start):
            yield number, kept.at, kept.publication  # type: ignore[misc]

    def before(self, offset: int, limit: int) -> Iterator[tuple[int, float, T]]:
        """Up to ``limit`` of what is kept before ``offset``, newest first."""
        end = min(offset - 1, self.top)
        skip = self.top - end
        for number, kept in enumerate(islice(reversed(self._kept), skip, skip + limit)):
            yield end - number, kept.at, kept.publication  # type: ignore[misc]

    def _add(self, publication: T, size_bytes: int, at: float, id: str | None) -> None:
        self.top += 1
        self._kept.append(_Kept(publication, size_bytes, at, id))
        self.size_bytes += size_bytes
        if id is not None:
            if self._ids is None:
                self._ids = {}
            self._ids[id] = self.top

    def _trim(self, now: float) -> None:
        bounds = self.bounds
        while len(self._kept) > bounds.max_messages or self.size_bytes > bounds.max_bytes:
            self._drop_oldest()
        self.expire(now)

    def _drop_oldest(self) -> None:
        kept = self._kept.popleft()
        self.size_bytes -= kept.size_bytes
        if kept.id is not None and self._ids is not None and self._ids.get(kept.id) == self.first:
            del self._ids[kept.id]
        self.first += 1


class Histories(Generic[T]):
    """By room name, the one used least recently first. ``new_epoch`` gives a name that was never given before.

    ``evicted`` counts those that went whole for want of room, ``expired`` those whose time was over.
    """

    def __init__(self, max_rooms: int, max_bytes: int, new_epoch: Callable[[], str]) -> None:
        self.max_rooms = max_rooms
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.evicted = 0
        self.expired = 0
        self._new_epoch = new_epoch
        self._rooms: OrderedDict[str, History[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rooms)

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    def names(self) -> Iterator[str]:
        """All rooms, least recently used first."""
        return iter(self._rooms)

    def newest_first(self) -> Iterator[tuple[str, History[T]]]:
        """All rooms and their histories, most recently used first."""
        return reversed(self._rooms.items())

    def put_back(self, room: str, history: History[T], now: float) -> list[str]:
        """Have a room go on with a history that was kept elsewhere, as the one used most recently; whom it evicted."""
        if room in self._rooms:
            self._forget(room)
        if self._is_over(history, now):
            self.expired += 1
            return []
        self._rooms[room] = history
        self.size_bytes += history.size_bytes
        return self._evict(room)

    def find(self, room: str, now: float) -> History[T] | None:
        """A room's history if it has one whose time is not over."""
        history = self._rooms.get(room)
        if history is not None and self._is_over(history, now):
            self._forget(room)
            self.expired += 1
            return None
        return history

    def of(
        self, room: str, bounds: HistoryBounds, now: float, epoch: str | None = None
    ) -> tuple[History[T], list[str]]:
        """A room's history, and the rooms whose history was evicted for it.

        If there is none it is begun, as ``epoch`` where that name was given out for it already.
        """
        history = self.find(room, now)
        if history is None:
            history = self._rooms[room] = History(epoch or self._new_epoch(), bounds, now)
        else:
            history.bounds = bounds
            self._expire(history, now)
        self._rooms.move_to_end(room)
        return history, self._evict(room)

    def append(
        self, room: str, publication: T, size_bytes: int, bounds: HistoryBounds, now: float, id: str | None = None
    ) -> tuple[int, list[str]]:
        """Keep a publication: its offset, and the rooms whose history was evicted for it."""
        history, evicted = self.of(room, bounds, now)
        offset = self.append_to(history, publication, size_bytes, now, id)
        return offset, evicted + self._evict(room)

    def append_to(self, history: History[T], publication: T, size_bytes: int, now: float, id: str | None) -> int:
        """Keep a publication in a history that ``of`` has just given; its offset. ``trim`` follows."""
        before = history.size_bytes
        offset = history.append(publication, size_bytes, now, id)
        self.size_bytes += history.size_bytes - before
        return offset

    def trim(self, but: str) -> list[str]:
        """Evict until the bounds hold: the rooms that it were, ``but`` never."""
        return self._evict(but)

    def drop(self, room: str) -> None:
        """Forget a room's history, if it has one."""
        if room in self._rooms:
            self._forget(room)

    def clear(self) -> None:
        """Forget all of them."""
        self._rooms.clear()
        self.size_bytes = 0

    def missed(self, room: str, since: Position, now: float) -> int | None:
        """As a ``History`` says; None also when the room has none."""
        history = self.find(room, now)
        if history is None:
            return None
        self._expire(history, now)
        return history.missed(since, now)

    def begin_anew(self, room: str, now: float) -> History[T] | None:
        """A purge: another epoch, and nothing kept. The new history, if there was one."""
        old = self._rooms.get(room)
        if old is None:
            return None
        self.size_bytes -= old.size_bytes
        new = self._rooms[room] = History(self._new_epoch(), old.bounds, now)
        new.members = old.members
        return new

    def sweep(self, rooms: list[str], now: float) -> list[str]:
        """Let ``rooms`` age; those whose time was over are forgotten, and returned."""
        over = []
        for room in rooms:
            history = self._rooms.get(room)
            if history is None:
                continue
            if self._is_over(history, now):
                self._forget(room)
                self.expired += 1
                over.append(room)
            else:
                self._expire(history, now)
        return over

    def _expire(self, history: History[T], now: float) -> None:
        before = history.size_bytes
        history.expire(now)
        self.size_bytes += history.size_bytes - before

    def _evict(self, but: str) -> list[str]:
        evicted = []
        while (len(self._rooms) > self.max_rooms or self.size_bytes > self.max_bytes) and len(self._rooms) > 1:
            room = next(iter(self._rooms))
            if room == but:
                self._rooms.move_to_end(room)
                continue
            self._forget(room)
            self.evicted += 1
            evicted.append(room)
        return evicted

    def _forget(self, room: str) -> None:
        self.size_bytes -= self._rooms.pop(room).size_bytes

    @staticmethod
    def _is_over(history: History[T], now: float) -> bool:
        ends_at = history.ends_at()
        return ends_at is not None and now >= ends_at
