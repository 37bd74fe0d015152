"""Carries out, for one connection, what a service asked for: the effects of ``wsprism.effects``.

Functions, because an idle connection should hold no more than it must. Whatever is refused is told to the client, with
the code that it would see had it asked itself, and undoes nothing else. What a client's message brings about within the
gateway is bound by its ticket and membership; what its backend answered is trusted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wsprism.effects import (
    AskBackend,
    Disconnect,
    Effect,
    JoinRoom,
    LeaveRoom,
    ListMembers,
    Publish,
    PublishHot,
    Refuse,
    Reply,
    Send,
    SendHot,
)
from wsprism.policy.decisions import Reason
from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode, may_reconnect
from wsprism.protocol.envelope import ACK_REQUESTED, JSON, Envelope
from wsprism.realtime.connection.held_back import Decision
from wsprism.realtime.connection.later import ask_backend
from wsprism.realtime.messages import (
    CloseConnection,
    ExtPublication,
    JoinRequest,
    LeaveRequest,
    MembersQuery,
    Origin,
    PublishToRoom,
)
from wsprism.realtime.room.publications import hot_publication
from wsprism.realtime.tenant.backend_messages import SendForBackend

if TYPE_CHECKING:
    from wsprism.realtime.connection.actor import Connection

__all__ = ["ROOM_OVERLOADED", "carry_out"]

_faults = LimitedLog(logging.getLogger("wsprism.connection"), time.monotonic)

ROOM_OVERLOADED: Final = "the room is overloaded"
_TENANT_OVERLOADED: Final = "the gateway is overloaded"


def carry_out(connection: Connection, effects: Effect | list[Effect], origin: Envelope | Origin) -> None:
    """One effect, or several in their order. An acknowledgement that was asked for comes behind them."""
    if not isinstance(effects, list):
        _CARRY_OUT[type(effects)](connection, effects, origin, origin.flags & ACK_REQUESTED != 0)
        return
    accepted = [_CARRY_OUT[type(effect)](connection, effect, origin, False) for effect in effects]
    if origin.flags & ACK_REQUESTED and all(accepted):
        connection.session.outlet.send(sysmsg.ack(origin.seq, connection.session.trace_id))


def _publish(connection: Connection, effect: Publish, origin: Envelope | Origin, ack: bool) -> bool:
    session = connection.session
    room = effect.room or origin.room or session.active_room
    seq = origin.seq
    if room is None:
        connection.refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", seq)
        return False
    trusted = isinstance(origin, Origin)
    if not trusted and session.principal.read_only:
        connection.refuse(Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this ticket may not publish", seq)
        return False
    svc = effect.svc or origin.svc
    data = _encode(connection, effect.data, svc, seq)
    if data is None:
        return False
    publication = ExtPublication(svc, effect.type, data, None if trusted else session, seq, ack)
    inbox = connection.rooms.get(room)
    if session.muted and not session.may_say_in(room):
        inbox = None
    if inbox is not None:
        taken = inbox.publish(publication, connection.trace)
    elif trusted:
        taken = connection.tenant_context.ref.tell(PublishToRoom(room, publication))
    elif connection.tenant_context.rules.publish_requires_membership:
        connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
        return False
    elif not session.principal.may_enter(room):
        connection.refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not publish there", seq)
        return False
    else:
        taken = connection.tenant_context.ref.tell(PublishToRoom(room, publication))
    return taken or _refuse_overloaded(connection, ROOM_OVERLOADED, seq)


def _publish_hot(connection: Connection, effect: PublishHot, origin: Envelope | Origin, _: bool) -> bool:
    room = effect.room or origin.room or connection.session.active_room
    if room is None:
        connection.refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", origin.seq)
        return False
    tenant = connection.tenant_context
    publication = hot_publication(effect.frame, tenant.rules, room)
    if publication is None:
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    taken = tenant.ref.tell(PublishToRoom(room, publication))
    return taken or _refuse_overloaded(connection, ROOM_OVERLOADED, origin.seq)


def _reply(connection: Connection, effect: Reply, origin: Envelope | Origin, _: bool) -> bool:
    message: dict[str, Any] = {"v": sysmsg.VERSION, "svc": origin.svc, "type": effect.type or origin.type}
    if origin.seq is not None:
        message["seq"] = origin.seq
    data = effect.data
    if connection.codec.binary and isinstance(data, msgspec.Raw):
        data = msgspec.json.decode(data)
    message["data"] = data
    try:
        connection.session.outlet.send(message)
    except (TypeError, ValueError, OverflowError, RecursionError):
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    return True


def _send(connection: Connection, effect: Send, origin: Envelope | Origin, _: bool) -> bool:
    svc = effect.svc or origin.svc
    data = _encode(connection, effect.data, svc, origin.seq)
    if data is None:
        return False
    publications = (ExtPublication(svc, effect.type, data),)
    taken = connection.tenant_context.ref.tell(SendForBackend(effect.user, publications, effect.sid))
    return taken or _refuse_overloaded(connection, _TENANT_OVERLOADED, origin.seq)


def _send_hot(connection: Connection, effect: SendHot, origin: Envelope | Origin, _: bool) -> bool:
    tenant = connection.tenant_context
    publication = hot_publication(effect.frame, tenant.rules, None)
    if publication is None:
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    taken = tenant.ref.tell(SendForBackend(effect.user, (publication,), effect.sid))
    return taken or _refuse_overloaded(connection, _TENANT_OVERLOADED, origin.seq)


def _join(connection: Connection, effect: JoinRoom, origin: Envelope | Origin, _: bool) -> bool:
    session, seq = connection.session, origin.seq
    request = JoinRequest(session, effect.room, seq)
    if isinstance(origin, Origin):
        return connection.tenant_context.ref.tell_control(request)
    if not session.principal.may_enter(effect.room):
        connection.refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not join the room", seq)
        return False
    return _ask_tenant(connection, request, effect.room, seq)


def _leave(connection: Connection, effect: LeaveRoom, origin: Envelope | Origin, _: bool) -> bool:
    room = _joined_room(connection, effect.room, origin.seq)
    if room is None:
        return False
    request = LeaveRequest(connection.session, room, origin.seq)
    if isinstance(origin, Origin):
        return connection.tenant_context.ref.tell_control(request)
    return _ask_tenant(connection, request, room, origin.seq)


def _ask_tenant(connection: Connection, request: JoinRequest | LeaveRequest, room: str, seq: int | None) -> bool:
    if connection.tenant_context.ref.tell_control(request):  # bounded: one at a time of each connection
        connection.awaiting = Decision(room, seq)
        return True
    return _refuse_overloaded(connection, _TENANT_OVERLOADED, seq)


def _list_members(connection: Connection, effect: ListMembers, origin: Envelope | Origin, _: bool) -> bool:
    room = _joined_room(connection, effect.room, origin.seq)
    if room is None:
        return False
    taken = connection.rooms[room].ref.tell(MembersQuery(connection.session, origin.seq))
    return taken or _refuse_overloaded(connection, ROOM_OVERLOADED, origin.seq)


def _joined_room(connection: Connection, named: str | None, seq: int | None) -> str | None:
    """The room that a message names, or the active one; None, and the client told, when it has not joined it."""
    room = named or connection.active_room
    if room is not None and room in connection.rooms:
        return room
    connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
    return None


def _refuse_by_service(connection: Connection, effect: Refuse, origin: Envelope | Origin, _: bool) -> bool:
    connection.refuse(Reason.BAD_REQUEST, effect.code, effect.msg, origin.seq)
    return False


def _disconnect(connection: Connection, effect: Disconnect, origin: Envelope | Origin, _: bool) -> bool:  # noqa: ARG001
    notice = None if may_reconnect(effect.code) else sysmsg.kicked(effect.reason, connection.session.trace_id)
    connection.close(CloseConnection(effect.code, effect.reason, notice))
    return True


def _ask_backend(connection: Connection, _: AskBackend, origin: Envelope | Origin, __: bool) -> bool:
    assert isinstance(origin, Envelope), "only a client's message is asked about"
    ask_backend(connection, origin)
    return True


def _encode(connection: Connection, data: Any, svc: str, seq: int | None) -> bytes | None:
    """``data`` as JSON; None, and the client and the log told, when the service gave what JSON cannot say."""
    try:
        return JSON.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError):
        _tell_fault(connection, svc, seq)
        return None


def _tell_fault(connection: Connection, svc: str, seq: int | None) -> None:
    connection.refuse(Reason.SERVICE_FAULT, ErrorCode.INTERNAL, "the service failed", seq)
    _faults.log(svc, "a service gave what JSON cannot say", level=logging.ERROR, service=svc)


def _refuse_overloaded(connection: Connection, msg: str, seq: int | None) -> bool:
    connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, msg, seq)
    return False


_CARRY_OUT: Final[dict[type, Callable[[Connection, Any, Envelope | Origin, bool], bool]]] = {
    AskBackend: _ask_backend,
    Disconnect: _disconnect,
    JoinRoom: _join,
    LeaveRoom: _leave,
    ListMembers: _list_members,
    Publish: _publish,
    PublishHot: _publish_hot,
    Refuse: _refuse_by_service,
    Reply: _reply,
    Send: _send,
    SendHot: _send_hot,
}
"""By the effect's type: carries it out, and says whether it was accepted."""
