"""Small values that the members of a room share, by key: what `kind: state` keeps (docs/protocol.md).

Pure bookkeeping, bounded for each room and for the tenant. Each change has a version: 1, 2, 3 ... of its room and
service. A table belongs to one tenant; everything in it of a room goes with the room's last member.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["NO_VALUES", "RoomValues", "Value", "ValueBounds", "ValueChange", "ValueDenial", "ValueTable", "Why"]

_ENTRY_BYTES: Final = 64
"""What an entry takes beside its key, value and user, some of it when it is told."""


@dataclass(frozen=True, slots=True)
class ValueBounds:
    """Of one service in one room. A value counts with its key, its user, and 64 bytes."""

    max_keys: int
    max_bytes: int


class ValueChange(NamedTuple):
    """What somebody wants: ``data`` is JSON, None: to delete ``key``. ``if_version``: only if the key has this one.

    ``max_bytes_together`` is the bound of all rooms of the tenant.
    """

    service: str
    key: str
    data: bytes | None
    user: str
    if_version: int | None
    bounds: ValueBounds
    max_bytes_together: int


class Why(Enum):
    """Why a change does not happen."""

    VERSION = "version"
    UNSET = "unset"
    KEYS = "keys"
    BYTES = "bytes"
    TOGETHER = "together"


class ValueDenial(NamedTuple):
    """A change does not happen. ``version`` is the key's, where that is the reason."""

    why: Why
    version: int = 0

    def said_of(self, change: ValueChange) -> str:
        """What whoever wanted it is told."""
        if self.why is Why.VERSION:
            return f"the key has version {self.version}" if self.version else "the key is not set"
        if self.why is Why.KEYS:
            return f"the room has {change.bounds.max_keys} keys, which is all it may have"
        if self.why is Why.BYTES:
            return f"the room's values would have more than {change.bounds.max_bytes} bytes"
        if self.why is Why.TOGETHER:
            return "the tenant's rooms have no place for more values"
        return "the key is not set, and nothing has changed"


class Value(NamedTuple):
    """``data`` is JSON; ``version`` that of the change which set it, ``user`` who did."""

    data: bytes
    version: int
    user: str


def _size_of(key: str, data: bytes, user: str) -> int:
    return len(key.encode()) + len(data) + len(user.encode()) + _ENTRY_BYTES


@dataclass(slots=True, eq=False)
class RoomValues:
    """What one service keeps of one room. ``told``: the whole of it as frames, by their form, until it changes."""

    version: int = 0
    size_bytes: int = 0
    entries: dict[str, Value] = field(default_factory=dict)
    told: dict[Any, bytes] = field(default_factory=dict)

    def add(self, key: str, value: Value) -> None:
        """Of a whole that is being read; each key once."""
        self.entries[key] = value
        self.size_bytes += _size_of(key, value.data, value.user)

    def is_same(self, other: RoomValues) -> bool:
        """Whether whoever was told one knows the other."""
        return self.version == other.version and self.entries == other.entries

    def version_of(self, key: str) -> int:
        """That of the change which set ``key``; 0: it is not set."""
        entry = self.entries.get(key)
        return 0 if entry is None else entry.version

    def listing(self, key: str | None = None) -> dict[str, object]:
        """All of it, or only ``key``, to be said in JSON."""
        if key is None:
            some = self.entries
        else:
            entry = self.entries.get(key)
            some = {} if entry is None else {key: entry}
        entries = {
            name: {"value": msgspec.Raw(one.data), "version": one.version, "from": one.user}
            for name, one in some.items()
        }
        return {"version": self.version, "entries": entries}


NO_VALUES: Final[Mapping[str, RoomValues]] = {}


class ValueTable:
    """By room and service. ``size_bytes`` and ``keys`` are of all rooms together."""

    __slots__ = ("_forgotten", "_rooms", "keys", "size_bytes")

    def __init__(self) -> None:
        self._forgotten: dict[str, set[str]] = {}
        self._rooms: dict[str, dict[str, RoomValues]] = {}
        self.keys = 0
        self.size_bytes = 0

    def of_room(self, room: str) -> Mapping[str, RoomValues]:
        """What the room's services keep, by their names."""
        return self._rooms.get(room, NO_VALUES)

    def of(self, room: str, service: str) -> RoomValues:
        """What this one keeps; nothing is begun by looking."""
        return self.of_room(room).get(service) or RoomValues()

    def denial(self, room: str, change: ValueChange) -> ValueDenial | None:
        """Why it does not happen; None: it can."""
        values = self.of(room, change.service)
        entry = values.entries.get(change.key)
        version = 0 if entry is None else entry.version
        if change.if_version is not None and change.if_version != version:
            return ValueDenial(Why.VERSION, version)
        if change.data is None:
            return None if version else ValueDenial(Why.UNSET)
        more = _size_of(change.key, change.data, change.user)
        if entry is None and len(values.entries) >= change.bounds.max_keys:
            return ValueDenial(Why.KEYS)
        if entry is not None:
            more -= _size_of(change.key, entry.data, entry.user)
        if values.size_bytes + more > change.bounds.max_bytes:
            return ValueDenial(Why.BYTES)
        if more > 0 and self.size_bytes + more > change.max_bytes_together:
            return ValueDenial(Why.TOGETHER)
        return None

    def change(self, room: str, service: str, key: str, data: bytes | None, user: str) -> int:
        """Set ``key``, or delete it; the version of this change. What may be is asked before."""
        values = self._rooms.setdefault(room, {}).get(service)
        if values is None:
            values = self._rooms[room][service] = RoomValues()
        values.version += 1
        values.told.clear()
        before = values.entries.pop(key, None)
        if before is not None:
            self._count(values, -1, -_size_of(key, before.data, before.user))
        if data is not None:
            values.entries[key] = Value(data, values.version, user)
            self._count(values, 1, _size_of(key, data, user))
        return values.version

    def load(self, room: str, values: Mapping[str, RoomValues]) -> None:
        """What the room's services keep is this, whatever it was before."""
        self._empty(room)
        if values:
            self._rooms[room] = dict(values)
            for one in values.values():
                self.keys += len(one.entries)
                self.size_bytes += one.size_bytes

    def drop(self, room: str) -> None:
        """The room is gone, and what was kept of it."""
        self._forgotten.pop(room, None)
        self._empty(room)

    def retain(self, services: Mapping[str, ValueBounds]) -> None:
        """Forget what is kept for services that are no more."""
        for room, kept in list(self._rooms.items()):
            for name in [one for one in kept if one not in services]:
                values = kept.pop(name)
                self._count(values, -len(values.entries), -values.size_bytes)
                self._forgotten.setdefault(room, set()).add(name)
            if not kept:
                del self._rooms[room]

    def take_forgotten(self, room: str) -> Collection[str]:
        """Services of which the room's members know what is kept no more; to be told once."""
        return self._forgotten.pop(room, ())

    def _empty(self, room: str) -> None:
        for values in self._rooms.pop(room, {}).values():
            self._count(values, -len(values.entries), -values.size_bytes)

    def _count(self, values: RoomValues, keys: int, size_bytes: int) -> None:
        values.size_bytes += size_bytes
        self.keys += keys
        self.size_bytes += size_bytes
