"""What a ``Registry`` lists of a tenant, over all nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Listed", "ListedRoom", "ListedSession", "RoomCounts", "SessionFilter", "SessionKey"]

T = TypeVar("T")


class SessionKey(NamedTuple):
    """One session of the tenant. Of two with the same user and sid the greater ``generation`` is the newer."""

    user: str
    sid: str
    generation: int


class SessionFilter(NamedTuple):
    """Which sessions: those of a user, with a sid, in a room. None: any."""

    user: str | None = None
    sid: str | None = None
    room: str | None = None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """``opened_s`` is Unix time by the one clock of all nodes; ``about`` is what its node has said of it, as JSON.

    ``rooms`` are up to 1000 of those that it is in, in no order; none where they were not asked for.
    """

    key: SessionKey
    opened_s: float
    about: bytes
    rooms: Sequence[str]


class RoomCounts(NamedTuple):
    """Who is in a room, over all nodes."""

    users: int
    sessions: int


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """``number`` stands for its place among all: rooms that opened later have greater ones."""

    room: str
    number: int
    counts: RoomCounts


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page; ``behind``: the number that the next one begins behind. None: it is the last."""

    items: Sequence[T]
    behind: int | None
