"""Small values that the members of a room share, by key: what `kind: state` keeps (docs/protocol.md).

Pure bookkeeping, bounded for each room and for the tenant. Each change has a version: 1, 2, 3 ... of its room and
service. A table belongs to one tenant; everything in it of a room goes with the room's last member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["NO_VALUES", "RoomValues", "Value", "ValueBounds", "ValueTable"]

_ENTRY_BYTES: Final = 64
"""What an entry takes beside its key, value and user, some of it when it is told."""


@dataclass(frozen=True, slots=True)
class ValueBounds:
    """Of one service in one room. A value counts with its key, its user, and 64 bytes."""

    max_keys: int
    max_bytes: int


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

    __slots__ = ("_rooms", "keys", "size_bytes")

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, RoomValues]] = {}
        self.keys = 0
        self.size_bytes = 0

    def of_room(self, room: str) -> Mapping[str, RoomValues]:
        """What the room's services keep, by their names."""
        return self._rooms.get(room, NO_VALUES)

    def of(self, room: str, service: str) -> RoomValues:
        """What this one keeps; nothing is begun by looking."""
        return self.of_room(room).get(service) or RoomValues()

    def refusal(
        self, room: str, service: str, key: str, data: bytes | None, user: str, bounds: ValueBounds, max_bytes: int
    ) -> str | None:
        """Which bound forbids to set ``key``; None: it can be. ``max_bytes`` is the tenant's. ``data`` None: delete."""
        if data is None:
            return None
        values = self.of(room, service)
        entry = values.entries.get(key)
        more = _size_of(key, data, user) - (0 if entry is None else _size_of(key, entry.data, entry.user))
        if entry is None and len(values.entries) >= bounds.max_keys:
            return f"the room has {bounds.max_keys} keys, which is all it may have"
        if values.size_bytes + more > bounds.max_bytes:
            return f"the room's values would have more than {bounds.max_bytes} bytes"
        if more > 0 and self.size_bytes + more > max_bytes:
            return "the tenant's rooms have no place for more values"
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

    def drop(self, room: str) -> None:
        """The room is gone, and what was kept of it."""
        for values in self._rooms.pop(room, {}).values():
            self._count(values, -len(values.entries), -values.size_bytes)

    def retain(self, services: Mapping[str, ValueBounds]) -> None:
        """Forget what is kept for services that are no more."""
        for room, kept in list(self._rooms.items()):
            for name in [one for one in kept if one not in services]:
                values = kept.pop(name)
                self._count(values, -len(values.entries), -values.size_bytes)
            if not kept:
                del self._rooms[room]

    def _count(self, values: RoomValues, keys: int, size_bytes: int) -> None:
        values.size_bytes += size_bytes
        self.keys += keys
        self.size_bytes += size_bytes
