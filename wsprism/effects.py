"""What a service may ask the gateway to do: small values, carried out by the connection that got the message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsprism.protocol.codes import ErrorCode

__all__ = ["Effect", "JoinRoom", "LeaveRoom", "ListMembers", "Publish", "Refuse", "Reply"]


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish ``data`` (anything JSON can hold) to every member of ``room`` (None: the active room)."""

    room: str | None
    svc: str
    type: str
    data: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the sender alone, with the message's ``seq``."""

    svc: str
    type: str
    data: Any


@dataclass(frozen=True, slots=True)
class JoinRoom:
    """Join ``room`` and make it the active one."""

    room: str


@dataclass(frozen=True, slots=True)
class LeaveRoom:
    """Leave ``room`` (None: the active room)."""

    room: str | None


@dataclass(frozen=True, slots=True)
class ListMembers:
    """Tell the sender how many users and sessions ``room`` (None: the active room) has."""

    room: str | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer ``sys.error``; ``msg`` must hold nothing internal."""

    code: ErrorCode
    msg: str


Effect = Publish | Reply | JoinRoom | LeaveRoom | ListMembers | Refuse
