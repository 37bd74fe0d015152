"""Who is present in the rooms of one tenant, over all nodes: what a ``Broker`` keeps beside its publications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from wsprism.ports.unavailable import Unavailable

__all__ = ["EntryPage", "PresenceBroker", "PresenceEntry"]


class PresenceEntry(NamedTuple):
    """One session that is present. ``entry`` is its room's business, and not empty."""

    user: str
    sid: str
    entry: bytes


class EntryPage(NamedTuple):
    """Some who are present. ``cursor``: where the next page begins; empty: this was the last."""

    entries: Sequence[PresenceEntry]
    cursor: str


class PresenceBroker(Protocol):
    """An entry belongs to the node that put it last, and goes with the node that dies.

    ``RoomListener.present`` tells every node that listens to the room, in one order with its publications. What is said
    of one entry is carried out in the order in which it was said; it is never refused, and made up for when Redis could
    not be told at once. A node that was taken for dead, or whose Redis has forgotten everything, says what it has once
    more, when its room is told ``subscribed``.
    """

    def put_entry(self, room: str, user: str, sid: str, entry: bytes) -> None:
        """A session of this node is present from here on, or its entry is another one."""
        ...

    def remove_entry(self, room: str, user: str, sid: str) -> None:
        """It is present no more. Nothing happens where another node has put the entry since."""
        ...

    def list_entries(self, room: str, cursor: str, done: Callable[[EntryPage | Unavailable], object]) -> None:
        """A page of who is present; ``cursor`` empty: the first.

        Whoever was present from the first page to the last is in one of them at least; those of one page are in the
        order in which they came. A page stands between what the listener is told before and behind it.
        """
        ...
