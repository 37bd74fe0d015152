"""Who is in a room, by user and session, and what has changed since the last diff that everybody got.

Pure. Changes are gathered in a log; whoever has seen the state at a mark of it gets the net change behind that mark: a
session that came and went meanwhile is in none of its lists. A crowd costs no more than ``max_diff_users`` of a diff:
beyond, only the totals are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["Diff", "Entry", "Listing", "Presence", "PresenceBounds"]


@dataclass(frozen=True, slots=True)
class PresenceBounds:
    """``max_listed`` and ``max_diff_users`` are users."""

    max_listed: int
    max_diff_users: int


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


class Diff(msgspec.Struct, frozen=True):
    """To be applied in this order: left, joined, changed. ``totals``: too much has changed, nothing else is told."""

    joined: dict[str, list[Entry]]
    left: dict[str, list[str]]
    changed: dict[str, list[Entry]]
    totals: tuple[int, int] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return self.totals is None and not (self.joined or self.left or self.changed)


class Presence:
    """One room's. ``mark`` is how far its log has come; a diff behind a mark leads from that state to the present."""

    __slots__ = ("_log", "_users", "bounds", "sessions")

    def __init__(self, bounds: PresenceBounds) -> None:
        self.bounds = bounds
        self.sessions = 0
        self._users: dict[str, dict[str, Entry]] = {}
        self._log: list[tuple[str, str, Entry | None]] = []  # user, sid, and what it was before

    @property
    def users(self) -> int:
        """Different users who are present."""
        return len(self._users)

    @property
    def mark(self) -> int:
        """Where the log ends now."""
        return len(self._log)

    def entry(self, user: str, sid: str) -> Entry | None:
        """A session's entry, if it is present."""
        return self._users.get(user, {}).get(sid)

    def put(self, user: str, entry: Entry) -> None:
        """It is present from now on, or its entry is another one."""
        sessions = self._users.setdefault(user, {})
        before = sessions.get(entry.sid)
        if before == entry:
            return
        if before is None:
            self.sessions += 1
        sessions[entry.sid] = entry
        self._log.append((user, entry.sid, before))

    def remove(self, user: str, sid: str) -> bool:
        """It is present no more; whether it was."""
        sessions = self._users.get(user)
        before = None if sessions is None else sessions.pop(sid, None)
        if sessions is None or before is None:
            return False
        if not sessions:
            del self._users[user]
        self.sessions -= 1
        self._log.append((user, sid, before))
        return True

    def listing(self) -> Listing:
        """The present state, of at most ``max_listed`` users, in the order in which they came."""
        most = self.bounds.max_listed
        users: dict[str, list[Entry]] = {}
        for user, sessions in self._users.items():
            if len(users) == most:
                break
            users[user] = list(sessions.values())
        return Listing(users, self.users, self.sessions, self.users > most)

    def diff(self, mark: int) -> Diff:
        """What has changed since ``mark``. Its work is bounded by what it may tell, and by one walk over the log."""
        before: dict[tuple[str, str], Entry | None] = {}
        for user, sid, was in self._since(mark):
            before.setdefault((user, sid), was)
        joined: dict[str, list[Entry]] = {}
        left: dict[str, list[str]] = {}
        changed: dict[str, list[Entry]] = {}
        touched: set[str] = set()
        for (user, sid), was in before.items():
            now = self.entry(user, sid)
            if now == was:
                continue
            touched.add(user)
            if len(touched) > self.bounds.max_diff_users:
                return Diff({}, {}, {}, (self.users, self.sessions))
            if now is None:
                left.setdefault(user, []).append(sid)
            else:
                (joined if was is None else changed).setdefault(user, []).append(now)
        return Diff(joined, left, changed)

    def settle(self) -> None:
        """Every diff has been given: the log begins anew, at mark 0."""
        self._log.clear()

    def _since(self, mark: int) -> Iterator[tuple[str, str, Entry | None]]:
        for number in range(mark, len(self._log)):
            yield self._log[number]
