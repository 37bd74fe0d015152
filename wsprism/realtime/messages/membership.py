"""Joining and leaving: connection to tenant, tenant to room, room to connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.policy.decisions import Denied
    from wsprism.ports import Unanswered
    from wsprism.protocol.backend import JoinAnswer
    from wsprism.protocol.places import JoinData
    from wsprism.realtime.decision import Decision
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.session import Session

__all__ = [
    "CloseRoom",
    "JoinAccepted",
    "JoinDecided",
    "JoinDenied",
    "JoinRequest",
    "JoinUndone",
    "LeaveDenied",
    "LeaveRequest",
    "Left",
    "RoomEmptied",
    "RoomJoin",
    "RoomLeave",
]


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Connection to tenant: check the limits, then join."""

    session: Session
    room: str
    seq: int | None
    token: Decision | None = None
    answer: JoinAnswer | None = None
    wants: JoinData | None = None


@dataclass(frozen=True, slots=True)
class JoinDecided:
    """To a connection: what the backend says of the join in ``request``, which it asked about."""

    request: JoinRequest
    answer: JoinAnswer | Unanswered


@dataclass(frozen=True, slots=True)
class LeaveRequest:
    """Connection to tenant: leave a room that it has joined."""

    session: Session
    room: str
    seq: int | None
    token: Decision | None = None


@dataclass(frozen=True, slots=True)
class RoomJoin:
    """Tenant to room: a checked join. ``token``: the session's connection waits for it.

    ``active``: the room becomes the session's active one even if it has one.
    """

    session: Session
    seq: int | None
    token: Decision | None = None
    answer: JoinAnswer | None = None
    wants: JoinData | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class RoomLeave:
    """Tenant to room: this session goes. ``announce``: it stays connected and is told ``sys.left``.

    ``token``: the session's connection waits for it. ``lost``: its connection was lost, without anybody's word.
    """

    session: Session
    seq: int | None
    announce: bool
    token: Decision | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class CloseRoom:
    """Tenant to room: the last member has left.

    A room that may have a history says ``RoomEmptied`` once it has come so far, and ends when it is told ``final``.
    """

    final: bool = False


@dataclass(frozen=True, slots=True)
class RoomEmptied:
    """Room to tenant: everything before its ``CloseRoom`` is done."""

    room: str
    ref: ActorRef


@dataclass(frozen=True, slots=True)
class JoinAccepted:
    """Room to connection: joined; ``sys.joined`` stands in its queue already."""

    room: str
    inbox: Inbox
    token: Decision | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class JoinDenied:
    """Tenant to connection: a limit forbids it."""

    room: str
    denied: Denied
    seq: int | None
    token: Decision | None


@dataclass(frozen=True, slots=True)
class Left:
    """Room to connection: left; ``sys.left`` stands in its queue already."""

    room: str
    ref: ActorRef
    token: Decision | None


@dataclass(frozen=True, slots=True)
class JoinUndone:
    """Room to tenant: the room could not be reached. ``is_new``: what the join has counted is to be taken back."""

    session: Session
    room: str
    seq: int | None
    token: Decision | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class LeaveDenied:
    """Tenant to connection: it is no longer in the room that it asked to leave."""

    room: str
    seq: int | None
    token: Decision | None
