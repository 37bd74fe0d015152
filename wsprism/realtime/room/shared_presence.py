"""Presence in a room over nodes: what this node has there, and what it was told of all.

Of a session that this node has it goes by its own word, which all nodes are told through the broker; of any other by
what it was told last, its own broker's echo included. So a change is seen on its own node at once and elsewhere in the
room's order, and every node comes to the same picture. ADR 0041.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wsprism.policy.present import Entry
from wsprism.protocol.node_words import EntryWord, read_entry, write_word
from wsprism.realtime.room.presence import RoomPresence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors import ActorRef
    from wsprism.policy.present import PresenceStore
    from wsprism.policy.room_rules import PresenceRules
    from wsprism.ports import PresenceBroker
    from wsprism.realtime.session import Session

__all__ = ["SharedPresence", "entry_from"]

_Key = tuple[str, str]


def entry_from(entry: bytes) -> Entry | None:
    """What was put there, by whichever node; None: this version cannot read it."""
    told = _told(entry)
    return None if told is None else _entry(told)


class SharedPresence(RoomPresence):
    """``node`` names this process among those that share the room."""

    def __init__(
        self, room: str, rules: PresenceRules, store: PresenceStore, broker: PresenceBroker, node: str
    ) -> None:
        super().__init__(room, rules, store)
        self._name = room
        self._store = store
        self._broker = broker
        self._node = node
        self._own: dict[_Key, Entry] = {}
        self._told: dict[_Key, EntryWord] = {}
        self._unlisted: set[_Key] = set()

    @property
    def sessions(self) -> int:
        """Those of this node."""
        return len(self._own)

    # What happens here

    def leave(self, session: Session, room: ActorRef, now: float, *, lost: bool) -> None:
        told = self._told.get((session.user, session.sid))
        elsewhere = told is not None and told.by != self._node
        super().leave(session, room, now, lost=lost and not elsewhere)

    def end(self) -> None:
        for key in self._own:
            self._broker.remove_entry(self._name, *key)

    def _show(self, user: str, entry: Entry) -> None:
        key = (user, entry.sid)
        self._own[key] = entry
        super()._show(user, entry)
        self._say(key)

    def _hide(self, user: str, sid: str) -> None:
        if self._own.pop((user, sid), None) is not None:
            self._broker.remove_entry(self._name, user, sid)
            self._see((user, sid))

    def _linger(self, key: _Key, until: float) -> None:
        super()._linger(key, until)
        self._say(key)

    def _ends_lingering(self, key: _Key) -> bool:
        if super()._ends_lingering(key):
            return True
        told = self._told.get(key)
        return key not in self._own and told is not None and told.by != self._node and told.lingers

    def _say(self, key: _Key) -> None:
        entry = self._own[key]
        told = EntryWord(
            self._node, key in self._lingers, entry.sid, entry.since, _json(entry.info), _json(entry.state)
        )
        self._broker.put_entry(self._name, *key, write_word(told))

    # What is told

    def hear(self, user: str, sid: str, entry: bytes | None) -> None:
        """A session has this entry from here on, or is present no more."""
        key = (user, sid)
        self._unlisted.discard(key)
        told = None if entry is None else _told(entry)
        if told is None:
            self._told.pop(key, None)
        else:
            self._told[key] = told
        by_other = told is not None and told.by != self._node
        if key not in self._own:
            if told is not None and not by_other:
                self._broker.remove_entry(self._name, user, sid)
            self._see(key)
        elif told is None:
            self._say(key)
        elif by_other and key in self._lingers:
            del self._lingers[key], self._own[key]
            self._see(key)
        self._forget_if_unheard()

    def _see(self, key: _Key) -> None:
        """What is shown of a session that this node does not have."""
        told = self._told.get(key)
        if told is None or told.by == self._node:
            self._presence.remove(*key)
        else:
            self._presence.put(key[0], _entry(told))

    # When it may have missed something

    def own(self) -> list[_Key]:
        """What this node has there."""
        return list(self._own)

    def say_again(self, keys: Iterable[_Key]) -> None:
        """Of those that it still has."""
        for key in keys:
            if key in self._own:
                self._say(key)

    def begin_listing(self) -> None:
        """Everybody who is there is going to be told once more."""
        self._unlisted = set(self._told)

    def forget_unlisted(self, most: int) -> bool:
        """Everybody was: who was not is gone. Whether there are more than could be forgotten now."""
        while self._unlisted and most:
            most -= 1
            self.hear(*next(iter(self._unlisted)), None)
        return bool(self._unlisted)

    def forget_others(self) -> None:
        """Nothing is told any more: only what this node has is left."""
        self._told.clear()
        self._unlisted.clear()
        self._store.drop_entries(self._name)
        for (user, _), entry in self._own.items():
            self._store.put_entry(self._name, user, entry)


def _told(entry: bytes) -> EntryWord | None:
    try:
        return read_entry(entry)
    except msgspec.MsgspecError:
        return None


def _entry(told: EntryWord) -> Entry:
    return Entry(told.sid, told.since, _raw(told.info), _raw(told.state))


def _json(raw: Any) -> bytes | None:
    return None if raw is msgspec.UNSET else bytes(raw)


def _raw(json: bytes | None) -> Any:
    return msgspec.UNSET if json is None else msgspec.Raw(json)
