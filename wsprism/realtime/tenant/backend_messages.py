"""What a backend asks of a tenant, each an ask; ``realtime.backend`` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wsprism.realtime.messages import Publications

__all__ = [
    "AmbiguousSid",
    "CountForBackend",
    "DisconnectForBackend",
    "JoinForBackend",
    "PublishForBackend",
    "PublishToRooms",
    "RemoveForBackend",
    "SendForBackend",
    "Who",
]


@dataclass(frozen=True, slots=True)
class PublishForBackend:
    """Backend to tenant: publish into a room, all or nothing. The answer is its number of sessions, or ``Denied``."""

    room: str
    publications: Publications


@dataclass(frozen=True, slots=True)
class PublishToRooms:
    """Backend to tenant: publish into several rooms, all or nothing. The answer is their number, or ``Denied``.

    ``members`` is filled with the number of sessions of each room.
    """

    rooms: Mapping[str, Publications]
    members: dict[str, int]


@dataclass(frozen=True, slots=True)
class CountForBackend:
    """Backend to tenant: who is in a room that nodes have each for itself. The answer is its number of sessions.

    ``users`` is filled with the number of users on each node.
    """

    room: str
    users: list[int]


@dataclass(frozen=True, slots=True)
class SendForBackend:
    """Backend to tenant: to every session of ``user`` (None: of the tenant), or to the one with this ``sid``.

    The answer is their number.
    """

    user: str | None
    publications: Publications
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Who:
    """The sessions that a backend means: all of ``user``, or the one with this ``sid``, or both."""

    user: str | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class AmbiguousSid:
    """The answer when several users have a session with the ``sid`` that stands without a user: nothing was done."""


@dataclass(frozen=True, slots=True)
class JoinForBackend:
    """Backend to tenant: join these sessions. The answer is their number, ``Denied`` or ``AmbiguousSid``.

    ``active``: it becomes their active room; else only of those that have none.
    """

    room: str
    who: Who
    active: bool = False


@dataclass(frozen=True, slots=True)
class RemoveForBackend:
    """Backend to tenant: take these sessions out of a room. The answer is how many were in it, or ``AmbiguousSid``."""

    room: str
    who: Who


@dataclass(frozen=True, slots=True)
class DisconnectForBackend:
    """Backend to tenant: end these sessions, or those in a room. The answer is their number, or ``AmbiguousSid``."""

    who: Who | None
    room: str | None
    code: int
    reason: str
