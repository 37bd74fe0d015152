"""The presence of a tenant's rooms by their names: it outlives their actors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsprism.realtime.room.presence import RoomPresence

if TYPE_CHECKING:
    from wsprism.policy.room_rules import PresenceRules

__all__ = ["Presences"]


class Presences:
    """By the names of rooms. ``due``: which of them are to be told when."""

    def __init__(self) -> None:
        self.due: dict[float, dict[str, None]] = {}
        self._rooms: dict[str, RoomPresence] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rooms))

    def of(self, room: str, rules: PresenceRules) -> RoomPresence:
        """The room's, which begins now if there is none."""
        presence = self._rooms.get(room)
        if presence is None:
            presence = self._rooms[room] = RoomPresence(rules)
        elif presence.rules is not rules:
            presence.follow(rules)
        return presence

    def get(self, room: str) -> RoomPresence | None:
        return self._rooms.get(room)

    def drop(self, room: str) -> None:
        """The room has none any more."""
        self._rooms.pop(room, None)

    @property
    def entries(self) -> int:
        """Sessions that are present in rooms; one counts in each of its rooms."""
        return sum(presence.sessions for presence in self._rooms.values())
