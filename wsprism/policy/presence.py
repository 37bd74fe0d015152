"""What has changed in a room's presence since the last diff that everybody got.

Pure. Changes are gathered in a log; whoever has seen the state at a mark of it gets the net change behind that mark: a
session that came and went meanwhile is in none of its lists. A crowd costs no more than ``max_diff_users`` of a diff:
beyond, only the totals are told. The entries themselves are a ``PresenceStore``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from wsprism.policy.present import Entry, Listing, PresenceStore

__all__ = ["Diff", "Presence", "PresenceBounds"]


@dataclass(frozen=True, slots=True)
class PresenceBounds:
    """``max_listed`` and ``max_diff_users`` are users."""

    max_listed: int
    max_diff_users: int


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

    __slots__ = ("_log", "_room", "_store", "bounds")

    def __init__(self, bounds: PresenceBounds, room: str, store: PresenceStore) -> None:
        self.bounds = bounds
        self._room = room
        self._store = store
        self._log: list[tuple[str, str, Entry | None]] = []  # user, sid, and what it was before

    @property
    def sessions(self) -> int:
        """Entries now."""
        return self._store.count_entries(self._room)[1]

    @property
    def mark(self) -> int:
        """Where the log ends now."""
        return len(self._log)

    def entry(self, user: str, sid: str) -> Entry | None:
        """A session's entry, if it is present."""
        return self._store.entry(self._room, user, sid)

    def put(self, user: str, entry: Entry) -> None:
        """It is present from now on, or its entry is another one."""
        before = self._store.put_entry(self._room, user, entry)
        if before != entry:
            self._log.append((user, entry.sid, before))

    def remove(self, user: str, sid: str) -> bool:
        """It is present no more; whether it was."""
        before = self._store.remove_entry(self._room, user, sid)
        if before is None:
            return False
        self._log.append((user, sid, before))
        return True

    def listing(self) -> Listing:
        """The present state, of at most ``max_listed`` users, in the order in which they came."""
        return self._store.list_entries(self._room, self.bounds.max_listed)

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
                return Diff({}, {}, {}, self._store.count_entries(self._room))
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
