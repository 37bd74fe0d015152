"""Who is present in one tenant's rooms: what this node says of its sessions, and who is there over all nodes.

What is said of a room stands in its line, behind turns that were handed over before; it gathers there until it is sent,
so that a crowd that comes at once is a few calls. What could not be said is owed: the newest word of each session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.call_line import Call, refusal
from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.adapters.redis.subscriptions import Subscriptions
from wsprism.ports import EntryPage, PresenceEntry, Unavailable

__all__ = ["EntriesOwner", "RoomEntries"]

_MOST_AT_ONCE: Final = 500
_MOST_BYTES_AT_ONCE: Final = 256 * 1024

_Words = dict[tuple[str, str], bytes]


class EntriesOwner(Protocol):
    """Who has the connection, the lines and the incarnation."""

    subscriptions: Subscriptions
    connection: RedisConnection | None

    @property
    def incarnation(self) -> int: ...
    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None: ...
    def last_unsent(self, room: str) -> Call | None: ...
    def unsent(self, room: str) -> Sequence[Call]: ...
    def add_unbounded(self, room: str, what: Call) -> None: ...
    def later(self, call: Callable[[], object]) -> None: ...
    def strange(self, what: str, answer: object) -> None: ...


class _Saying:
    """A ``Call``: of each session its entry, or b"" for one that is gone."""

    def __init__(self, room: str, owner: RoomEntries) -> None:
        self.room = room
        self.words: _Words = {}
        self.size_bytes = 0
        self._owner = owner
        self._bytes = 0

    def takes(self, key: tuple[str, str], entry: bytes) -> bool:
        """Whether one more was put into it."""
        if self.words and (len(self.words) >= _MOST_AT_ONCE or self._bytes + len(entry) > _MOST_BYTES_AT_ONCE):
            return False
        self._bytes += len(entry)
        self.words[key] = entry
        return True

    @property
    def script(self) -> Script:
        return script("put_entries")

    @property
    def arguments(self) -> Sequence[Word]:
        words: list[Word] = [self._owner.incarnation, self.room]
        for (user, sid), entry in self.words.items():
            words += (user, sid, entry)
        return words

    def answer(self, _: Sequence[Any]) -> None:
        """It is done."""

    def deny(self, _: bytes) -> None:
        """Nothing forbids it."""

    def refuse(self, _: Unavailable) -> None:
        self._owner.owe(self)


class RoomEntries:
    """The presence of a ``Broker``. Bounded by what there is to say: a word for each session that was ever put."""

    def __init__(self, owner: EntriesOwner) -> None:
        self._owner = owner
        self._owed: dict[str, _Words] = {}

    @property
    def incarnation(self) -> int:
        """Of the node, now: what is asked once more may be said by another one than before."""
        return self._owner.incarnation

    def say(self, room: str, user: str, sid: str, entry: bytes) -> None:
        """A session is present with this entry; b"": no more."""
        if self._owner.connection is None:
            self._owed.setdefault(room, {})[user, sid] = entry
            return
        owed = self._owed.get(room)
        if owed is not None:
            owed.pop((user, sid), None)
        last = self._owner.last_unsent(room)
        if not (isinstance(last, _Saying) and last.takes((user, sid), entry)):
            last = _Saying(room, self)
            last.takes((user, sid), entry)
            self._owner.add_unbounded(room, last)

    def owe(self, saying: _Saying) -> None:
        """It was refused: what nothing else was said behind is said later."""
        said: set[tuple[str, str]] = set()
        for other in self._owner.unsent(saying.room):
            if isinstance(other, _Saying):
                said.update(other.words)
        owed = {key: entry for key, entry in saying.words.items() if key not in said}
        self._owed.setdefault(saying.room, {}).update(owed)

    def say_owed(self) -> None:
        """It may be possible now."""
        owed, self._owed = self._owed, {}
        for room, words in owed.items():
            for (user, sid), entry in words.items():
                self.say(room, user, sid, entry)

    def list(self, room: str, cursor: str, done: Callable[[EntryPage | Unavailable], object]) -> None:
        """A page of who is there."""

        def answered(answer: Any) -> None:
            if isinstance(answer, list) and answer[0] == b"OK":
                self._look_at(room, int(answer[2]))
                done(EntryPage(_entries(answer[3:]), answer[1].decode()))
                return
            if not isinstance(answer, Unknown):
                self._owner.strange("entries", answer)
            done(refusal(answer) if isinstance(answer, Refused) else Unavailable.AWAY)

        refused = self._owner.call(script("entries"), (room, cursor), answered)
        if refused is not None:
            why = refusal(refused)
            self._owner.later(lambda: done(why))

    def _look_at(self, room: str, version: int) -> None:
        """A listener that was told everything has come to the version that a page has; another has missed something."""
        subscription = self._owner.subscriptions.by_room.get(room)
        if subscription is None or not subscription.live:
            return
        if subscription.present_at in (None, version):
            subscription.present_at = version
        else:
            subscription.begin_anew()


def _entries(words: Sequence[bytes]) -> list[PresenceEntry]:
    """In the order in which they came."""
    entries = zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True)
    found = sorted((int(came), user, sid, entry) for came, user, sid, entry in entries)
    return [
        PresenceEntry(user.decode(errors="replace"), sid.decode(errors="replace"), entry)
        for _, user, sid, entry in found
    ]
