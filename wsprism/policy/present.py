"""Who is present in rooms, by user and session: entries and nothing of what anybody has been told of them.

Pure. ``PresenceStore`` is what the logic of a room asks of whoever keeps them; ``PresentSessions`` keeps them here.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Protocol

import msgspec

__all__ = ["Entry", "Listing", "PresenceStore", "PresentSessions"]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One session that is present. ``info`` is public and trusted, ``state`` the client's own word."""

    sid: str
    since: str
    info: Any = msgspec.UNSET
    state: Any = msgspec.UNSET


class Listing(msgspec.Struct, frozen=True):
    """Who is there; ``truncated``: there are more users than are listed."""

    users: dict[str, list[Entry]]
    total_users: int
    total_sessions: int
    truncated: bool


class PresenceStore(Protocol):
    """The entries of rooms, by their names. Each call is one step; a room without entries needs nothing."""

    def put_entry(self, room: str, user: str, entry: Entry) -> Entry | None:
        """Keep the entry of a session, in place of the one before; which that was."""
        ...

    def remove_entry(self, room: str, user: str, sid: str) -> Entry | None:
        """Keep it no longer; which it was."""
        ...

    def entry(self, room: str, user: str, sid: str) -> Entry | None:
        """A session's entry, if it is present."""
        ...

    def list_entries(self, room: str, max_users: int) -> Listing:
        """All entries of at most ``max_users`` users, in the order in which users and their sessions came."""
        ...

    def count_entries(self, room: str) -> tuple[int, int]:
        """Users and sessions that are present."""
        ...

    def drop_entries(self, room: str) -> None:
        """Forget all of a room."""
        ...


class _Room:
    __slots__ = ("sessions", "users")

    def __init__(self) -> None:
        self.sessions = 0
        self.users: dict[str, dict[str, Entry]] = {}


class PresentSessions:
    """A ``PresenceStore`` in memory."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def put_entry(self, room: str, user: str, entry: Entry) -> Entry | None:
        here = self._rooms.get(room)
        if here is None:
            here = self._rooms[room] = _Room()
        sessions = here.users.setdefault(user, {})
        before = sessions.get(entry.sid)
        here.sessions += before is None
        sessions[entry.sid] = entry
        return before

    def remove_entry(self, room: str, user: str, sid: str) -> Entry | None:
        here = self._rooms.get(room)
        sessions = None if here is None else here.users.get(user)
        if here is None or sessions is None or sid not in sessions:
            return None
        before = sessions.pop(sid)
        here.sessions -= 1
        if not sessions:
            del here.users[user]
        if not here.users:
            del self._rooms[room]
        return before

    def entry(self, room: str, user: str, sid: str) -> Entry | None:
        here = self._rooms.get(room)
        return None if here is None else here.users.get(user, {}).get(sid)

    def list_entries(self, room: str, max_users: int) -> Listing:
        here = self._rooms.get(room) or _Room()
        users = {user: list(sessions.values()) for user, sessions in islice(here.users.items(), max_users)}
        return Listing(users, len(here.users), here.sessions, len(here.users) > max_users)

    def count_entries(self, room: str) -> tuple[int, int]:
        here = self._rooms.get(room)
        return (0, 0) if here is None else (len(here.users), here.sessions)

    def drop_entries(self, room: str) -> None:
        self._rooms.pop(room, None)

    def drop_all_entries(self) -> None:
        """Forget every room."""
        self._rooms.clear()
