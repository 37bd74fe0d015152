"""The presence of a tenant's rooms by their names: it outlives their actors. Entries are in the tenant's store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsprism.policy.present import PresentSessions
from wsprism.realtime.room.presence import RoomPresence
from wsprism.realtime.room.shared_presence import SharedPresence

if TYPE_CHECKING:
    from wsprism.policy.present import Listing, PresenceStore
    from wsprism.policy.room_rules import PresenceRules
    from wsprism.ports import PresenceBroker

__all__ = ["Presences"]


class Presences:
    """By the names of rooms. ``due``: which of them are to be told when. Without a ``store`` it has one of its own."""

    def __init__(self, store: PresenceStore | None = None) -> None:
        self.due: dict[float, dict[str, None]] = {}
        self._store = PresentSessions() if store is None else store
        self._node = secrets.token_urlsafe(6)
        self._rooms: dict[str, RoomPresence] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rooms))

    def of(self, room: str, rules: PresenceRules) -> RoomPresence:
        """The room's, which begins now if there is none."""
        presence = self._rooms.get(room)
        if presence is None or isinstance(presence, SharedPresence):
            self.drop(room)
            presence = self._rooms[room] = RoomPresence(room, rules, self._store)
        elif presence.rules is not rules:
            presence.follow(rules)
        return presence

    def shared(self, room: str, rules: PresenceRules, broker: PresenceBroker) -> SharedPresence:
        """The same of a room over nodes."""
        presence = self._rooms.get(room)
        if not isinstance(presence, SharedPresence):
            self.drop(room)
            presence = self._rooms[room] = SharedPresence(room, rules, self._store, broker, self._node)
        elif presence.rules is not rules:
            presence.follow(rules)
        return presence

    def get(self, room: str) -> RoomPresence | None:
        return self._rooms.get(room)

    def listing(self, room: str, rules: PresenceRules) -> Listing:
        """Who is there, whether or not the room lives."""
        return self._store.list_entries(room, rules.bounds.max_listed)

    def drop(self, room: str) -> None:
        """The room has none any more."""
        presence = self._rooms.pop(room, None)
        if presence is not None:
            presence.end()
            self._store.drop_entries(room)

    @property
    def entries(self) -> int:
        """Sessions of this node that are present in rooms; one counts in each of its rooms."""
        return sum(presence.sessions for presence in self._rooms.values())
