"""What a connection is told of its rooms: joined, denied, left. Functions over the connection that is told."""

from __future__ import annotations

from typing import Final

from wsprism.policy.decisions import Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.connection.core import Core
from wsprism.realtime.messages import JoinAccepted, JoinDenied, LeaveDenied, Left

__all__ = ["on_join_accepted", "on_join_denied", "on_leave_denied", "on_left"]

_DENIALS: Final = {
    Reason.BROKER_AWAY: "the room cannot be reached now: try again",
    Reason.ROOM_FULL: "the room is full",
    Reason.TOO_MANY_ROOMS: "the tenant has no room for another room",
    Reason.TOO_MANY_ROOMS_PER_USER: "too many rooms of this user",
}


def on_join_accepted(connection: Core, message: JoinAccepted) -> None:
    """It is a member, and this is its active room, unless its backend has only put it there."""
    room, token = message.room, message.token
    connection.rooms.pop(room, None)
    connection.rooms[room] = message.inbox
    if message.active or connection.session.active_room is None:
        connection.session.active_room = room
    connection.note("joined", room=room)
    if token is not None and token.bound and not connection.session.principal.may_enter(room):
        connection.put_out_of(room)  # a refresh has narrowed the ticket while the join was under way
    connection.settle(token, granted=True)


def on_join_denied(connection: Core, message: JoinDenied) -> None:
    """A limit forbids it; everything else goes on."""
    denied = message.denied
    connection.refuse(denied.reason, denied.code, _DENIALS[denied.reason], message.seq)
    connection.settle(message.token, granted=False)


def on_left(connection: Core, message: Left) -> None:
    """It is no member any more, unless it has joined the room's successor meanwhile."""
    inbox = connection.rooms.get(message.room)
    if inbox is not None and inbox.ref is message.ref:
        connection.forget_room(message.room)
    connection.session.has_left(message.ref)
    connection.note("left", room=message.room)
    connection.settle(message.token, granted=True)


def on_leave_denied(connection: Core, message: LeaveDenied) -> None:
    """It is out of the room already: who has asked is told so."""
    if message.token is not None:
        connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", message.seq)
    connection.settle(message.token, granted=False)
