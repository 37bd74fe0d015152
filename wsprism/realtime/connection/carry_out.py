"""Carries out, for one connection, what a service asked for: the effects of ``wsprism.effects``.

Functions, because an idle connection should hold no more than it must. ``Connection`` looks the effect's type up in
``CARRY_OUT``; whatever is refused is told to its client.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from wsprism.effects import JoinRoom, LeaveRoom, ListMembers, Publish, Refuse, Reply
from wsprism.policy.decisions import Reason
from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, JSON, Envelope
from wsprism.realtime.messages import (
    ExtPublication,
    JoinRequest,
    LeaveRequest,
    MembersQuery,
    PublishToRoom,
)

if TYPE_CHECKING:
    from wsprism.realtime.connection.actor import Connection

__all__ = ["CARRY_OUT", "ROOM_OVERLOADED"]

_faults = LimitedLog(logging.getLogger("wsprism.connection"), time.monotonic)

ROOM_OVERLOADED: Final = "the room is overloaded"


def _publish(connection: Connection, effect: Publish, envelope: Envelope) -> None:
    room = effect.room or connection.session.active_room
    seq = envelope.seq
    if room is None:
        connection.refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", seq)
        return
    if connection.session.principal.read_only:
        connection.refuse(Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this ticket may not publish", seq)
        return
    try:
        data = JSON.encode(effect.data)
    except (TypeError, ValueError, OverflowError, RecursionError):
        connection.refuse(Reason.SERVICE_FAULT, ErrorCode.INTERNAL, "the service failed", seq)
        _faults.log(effect.svc, "a service published what JSON cannot say", level=logging.ERROR, service=effect.svc)
        return
    publication = ExtPublication(
        effect.svc,
        effect.type,
        data,
        connection.session,
        seq,
        envelope.flags & ACK_REQUESTED != 0,
    )
    inbox = connection.rooms.get(room)
    if connection.session.muted and not connection.session.may_say_in(room):
        inbox = None
    if inbox is not None:
        taken = inbox.publish(publication, connection.trace)
    elif connection.tenant_context.rules.publish_requires_membership:
        connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
        return
    elif not connection.session.principal.may_enter(room):
        connection.refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not publish there", seq)
        return
    else:
        taken = connection.tenant_context.ref.tell(PublishToRoom(room, publication))
    if not taken:
        connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, seq)


def _reply(connection: Connection, effect: Reply, envelope: Envelope) -> None:
    message: dict[str, Any] = {"v": sysmsg.VERSION, "svc": effect.svc, "type": effect.type}
    if envelope.seq is not None:
        message["seq"] = envelope.seq
    message["data"] = effect.data
    connection.session.outlet.send(message)


def _join(connection: Connection, effect: JoinRoom, envelope: Envelope) -> None:
    if not connection.session.principal.may_enter(effect.room):
        connection.refuse(
            Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not join the room", envelope.seq
        )
        return
    _ask_tenant(connection, JoinRequest(connection.session, effect.room, envelope.seq), effect.room, envelope.seq)


def _leave(connection: Connection, effect: LeaveRoom, envelope: Envelope) -> None:
    room = _joined_room(connection, effect.room, envelope.seq)
    if room is not None:
        _ask_tenant(connection, LeaveRequest(connection.session, room, envelope.seq), room, envelope.seq)


def _ask_tenant(connection: Connection, request: JoinRequest | LeaveRequest, room: str, seq: int | None) -> None:
    if connection.tenant_context.ref.tell_control(request):  # bounded: one at a time of each connection
        connection.awaiting = room
    else:
        connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, "the gateway is overloaded", seq)


def _list_members(connection: Connection, effect: ListMembers, envelope: Envelope) -> None:
    room = _joined_room(connection, effect.room, envelope.seq)
    if room is not None and not connection.rooms[room].ref.tell(MembersQuery(connection.session, envelope.seq)):
        connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, envelope.seq)


def _joined_room(connection: Connection, named: str | None, seq: int | None) -> str | None:
    """The room that a message names, or the active one; None, and the client told, when it has not joined it."""
    room = named or connection.active_room
    if room is not None and room in connection.rooms:
        return room
    connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
    return None


def _refuse_by_service(connection: Connection, effect: Refuse, envelope: Envelope) -> None:
    connection.refuse(Reason.BAD_REQUEST, effect.code, effect.msg, envelope.seq)


CARRY_OUT: Final[dict[type, Callable[[Connection, Any, Envelope], None]]] = {
    Publish: _publish,
    Reply: _reply,
    JoinRoom: _join,
    LeaveRoom: _leave,
    ListMembers: _list_members,
    Refuse: _refuse_by_service,
}
"""By the effect's type."""
