"""A tenant's sessions and room memberships: the one place where its limits are counted.

Pure bookkeeping, changed in synchronous steps by the tenant actor alone, so that no limit is ever overshot.
Sessions are held by identity: an old session's end can never remove the one that replaced it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from wsprism.realtime.tenant.numbered import Numbered
from wsprism.realtime.tenant.room_numbers import RoomNumbers

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.session import Session

__all__ = ["RoomEntry", "Roster", "SessionRegistry"]

Roster = dict["Session", None]
"""A room's members in joining order. It outlives a crash of the room."""


_NO_SESSIONS: Final[Mapping[str, Session]] = MappingProxyType({})


@dataclass(slots=True)
class RoomEntry:
    """One live room: its actor and the way into it, the roster it shares with it, and who is in it."""

    ref: ActorRef
    inbox: Inbox
    roster: Roster
    sessions: Numbered[Session]
    users: Counter[str]
    number: int
    """Stands for its name in hot frames, from its first member to its last."""
    history: RoomHistory | None = None


class SessionRegistry:
    """Sessions by connection and by user, rooms by name. ``len()`` is the number of sessions.

    ``in_order`` and ``rooms_in_order`` are all sessions and the names of all rooms, to be listed page by page.
    """

    def __init__(self, last_room_number: int = 0) -> None:
        self.room_numbers = RoomNumbers(last_room_number)
        self._numbers = count(1)
        self._sessions: dict[ActorRef, Session] = {}
        self.in_order: Numbered[Session] = Numbered(self._numbers)
        self.rooms_in_order: Numbered[str] = Numbered(self._numbers)
        self._by_user: dict[str, dict[str, Session]] = {}
        self._rooms_of_user: dict[str, Counter[str]] = {}
        self.rooms: dict[str, RoomEntry] = {}
        self.emptied: dict[str, RoomEntry] = {}
        """Rooms without members whose actors live: until these have come so far, or while a tail hears a room over
        nodes. They count nowhere.
        """

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def of_user(self, user: str) -> list[Session]:
        """The user's live sessions, oldest first."""
        return list(self.by_sid(user).values())

    def by_sid(self, user: str) -> Mapping[str, Session]:
        """The same by their sid, as they change: to be looked at, not to be kept."""
        return self._by_user.get(user, _NO_SESSIONS)

    def of_connection(self, connection: ActorRef) -> Session | None:
        """The session of this connection, if it is still registered."""
        return self._sessions.get(connection)

    def rooms_of_user(self, user: str) -> int:
        """In how many different rooms the user is, over all sessions."""
        return len(self._rooms_of_user.get(user, ()))

    def is_user_in(self, user: str, room: str) -> bool:
        """Whether any session of the user is in the room."""
        return room in self._rooms_of_user.get(user, ())

    def add(self, session: Session) -> None:
        """Register a session whose connection is known, and whose user has no other with its sid."""
        self._sessions[session.connection] = session
        self.in_order.add(session)
        self._by_user.setdefault(session.user, {})[session.sid] = session

    def remove(self, session: Session) -> None:
        """Forget a session; its rooms are left one by one. Idempotent."""
        if self._sessions.pop(session.connection, None) is None:
            return
        self.in_order.remove(session)
        of_user = self._by_user[session.user]
        del of_user[session.sid]
        if not of_user:
            del self._by_user[session.user]

    def open_room(
        self, name: str, inbox: Inbox, roster: Roster, users: Counter[str], history: RoomHistory | None = None
    ) -> RoomEntry:
        """Make the entry of a room that has no members yet."""
        self.hold_room(name, inbox, roster, users, history)
        entry = self.reopen_room(name)
        assert entry is not None, "it is held"
        return entry

    def hold_room(
        self, name: str, inbox: Inbox, roster: Roster, users: Counter[str], history: RoomHistory | None = None
    ) -> None:
        """Make the entry of a room that nobody is about to join: it is an ``emptied`` one."""
        self.emptied[name] = RoomEntry(inbox.ref, inbox, roster, Numbered(self._numbers), users, inbox.number, history)

    def reopen_room(self, name: str) -> RoomEntry | None:
        """The entry of an ``emptied`` room, which is one like others again."""
        entry = self.emptied.pop(name, None)
        if entry is not None:
            entry.number = entry.inbox.number = self.room_numbers.give(name)
            self.rooms[name] = entry
            self.rooms_in_order.add(name)
        return entry

    def join(self, session: Session, room: str) -> None:
        """Count the session into an existing room; idempotent."""
        entry = self.rooms[room]
        if session in entry.sessions:
            return
        entry.sessions.add(session)
        session.rooms[room] = None
        entry.users[session.user] += 1
        self._rooms_of_user.setdefault(session.user, Counter())[room] += 1

    def leave(self, session: Session, room: str) -> RoomEntry | None:
        """Count the session out of a room. The entry if it was in it; it is forgotten when that was the last."""
        entry = self.rooms.get(room)
        if entry is None or session not in entry.sessions:
            return None
        entry.sessions.remove(session)
        del session.rooms[room]
        _decrement(entry.users, session.user)
        rooms = self._rooms_of_user[session.user]
        _decrement(rooms, room)
        if not rooms:
            del self._rooms_of_user[session.user]
        if not entry.sessions:
            del self.rooms[room]
            self.room_numbers.take_back(entry.number)
            self.rooms_in_order.remove(room)
            if entry.history is not None:
                self.emptied[room] = entry
        return entry


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
