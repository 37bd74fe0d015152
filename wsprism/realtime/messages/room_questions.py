"""What a room is asked by its members, and told of its history and presence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from wsprism.ports import RoomCounts
    from wsprism.protocol.places import HistoryData
    from wsprism.realtime.session import Session

__all__ = [
    "HistoryChanged",
    "HistoryQuery",
    "InfoChanged",
    "MembersQuery",
    "PresenceDue",
    "PresenceQuery",
    "PresenceState",
    "PresenceWanted",
]


@dataclass(frozen=True, slots=True)
class MembersQuery:
    """Connection to room: answer ``room.members`` into this session's queue.

    ``counts``: who is in it on all nodes, where the room has asked for that.
    """

    session: Session
    seq: int | None
    counts: RoomCounts | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Connection to room: answer ``room.history`` into this session's queue."""

    session: Session
    seq: int | None
    query: HistoryData


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """To a room: its history may have been taken away, and its members are to be told."""


@dataclass(frozen=True, slots=True)
class PresenceQuery:
    """Connection to room: answer ``room.presence`` into this session's queue."""

    session: Session
    seq: int | None


@dataclass(frozen=True, slots=True)
class PresenceState:
    """Connection to room: the session's own word of itself, JSON. ``ack``: it waits to hear that it was taken."""

    session: Session
    seq: int | None
    state: msgspec.Raw
    ack: bool


@dataclass(frozen=True, slots=True)
class InfoChanged:
    """Connection to tenant, and on to its rooms: what presence shows of the session is another."""

    session: Session


@dataclass(frozen=True, slots=True)
class PresenceWanted:
    """Room to tenant: it is to be told ``PresenceDue`` at this moment of the shared tick."""

    room: str
    at: float


@dataclass(frozen=True, slots=True)
class PresenceDue:
    """Tenant to room: who is subscribed is to be told what has changed, and who has lingered is gone."""
