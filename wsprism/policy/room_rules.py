"""What rooms have beyond live traffic, by their names: the first entry that matches counts.

Compiled once from the configuration; rooms look theirs up when they begin, and again after a reload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from wsprism.policy.history import HistoryBounds
from wsprism.policy.presence import PresenceBounds

__all__ = ["PLAIN_ROOM", "PresenceRules", "RoomRules", "RoomTable", "SnapshotRules"]


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """Who is there. ``events``: whoever asks is told of changes, gathered for ``batch_s``."""

    bounds: PresenceBounds
    events: bool
    linger_s: float
    batch_s: float
    max_state_bytes: int


@dataclass(frozen=True, slots=True)
class SnapshotRules:
    """The newest hot frames of at most ``max_keys`` keys."""

    max_keys: int
    delete_opcodes: frozenset[int]


@dataclass(frozen=True, slots=True)
class RoomRules:
    """``history`` None: nothing is kept; so with the others. ``node_only``: it is another room on each node."""

    history: HistoryBounds | None = None
    presence: PresenceRules | None = None
    snapshot: SnapshotRules | None = None
    node_only: bool = False


PLAIN_ROOM: Final = RoomRules()
"""Live traffic and nothing else."""


class RoomTable:
    """Entries of a pattern (``*`` and ``?`` as in tickets) and what rooms of such a name have."""

    __slots__ = ("_entries", "keeps_history", "keeps_presence")

    def __init__(self, entries: Iterable[tuple[str, RoomRules]] = ()) -> None:
        self._entries = [(re.compile(translate(pattern)).match, rules) for pattern, rules in entries]
        self.keeps_history = any(rules.history is not None for _, rules in self._entries)
        """Whether any room may have a history."""
        self.keeps_presence = any(rules.presence is not None for _, rules in self._entries)
        """Whether any room may have presence."""

    def of(self, room: str) -> RoomRules:
        """What the room has."""
        for matches, rules in self._entries:
            if matches(room):
                return rules
        return PLAIN_ROOM
