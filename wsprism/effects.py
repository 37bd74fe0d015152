"""What a service may ask the gateway to do: small values, carried out by the connection that got the message.

Structs, because one is made per message: they cost a sixth of a frozen dataclass.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wsprism.protocol.codes import ErrorCode

__all__ = ["Effect", "JoinRoom", "LeaveRoom", "ListMembers", "Publish", "Refuse", "Reply"]


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Publish ``data`` (anything JSON can hold) to every member of ``room`` (None: the active room)."""

    room: str | None
    svc: str
    type: str
    data: Any


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Answer the sender alone, with the message's ``seq``."""

    svc: str
    type: str
    data: Any


class JoinRoom(msgspec.Struct, frozen=True, gc=False):
    """Join ``room`` and make it the active one."""

    room: str


class LeaveRoom(msgspec.Struct, frozen=True, gc=False):
    """Leave ``room`` (None: the active room)."""

    room: str | None


class ListMembers(msgspec.Struct, frozen=True, gc=False):
    """Tell the sender how many users and sessions ``room`` (None: the active room) has."""

    room: str | None


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """Answer ``sys.error``; ``msg`` must hold nothing internal."""

    code: ErrorCode
    msg: str


Effect = Publish | Reply | JoinRoom | LeaveRoom | ListMembers | Refuse
