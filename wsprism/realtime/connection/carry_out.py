"""Carries out, for one connection, what a service asked for: the effects of ``wsprism.effects``.

Functions, because an idle connection should hold no more than it must. Whatever is refused is told to the client, with
the code that it would see had it asked itself, and undoes nothing else. What a client's message brings about within the
gateway is bound by its ticket and membership; what its backend answered, or code of the operator's, is trusted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from wsprism.effects import (
    Answer,
    AskBackend,
    ChangeValue,
    Disconnect,
    Effect,
    Fail,
    JoinRoom,
    Later,
    LeaveRoom,
    ListHistory,
    ListMembers,
    ListPresence,
    ListValues,
    Publish,
    PublishHot,
    Refuse,
    Reply,
    Send,
    SendHot,
    SetState,
)
from wsprism.policy.decisions import Reason
from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode, may_reconnect
from wsprism.protocol.envelope import ACK_REQUESTED, JSON, Envelope
from wsprism.protocol.publication_data import NotPortable, data_of
from wsprism.realtime.connection.core import ROOM_OVERLOADED, Core
from wsprism.realtime.connection.deciding import ask_about_join
from wsprism.realtime.connection.later import ask_backend, ask_service
from wsprism.realtime.connection.values import change_value, list_values
from wsprism.realtime.decision import Acknowledgement, Decision
from wsprism.realtime.messages import (
    CloseConnection,
    ExtPublication,
    HistoryQuery,
    JoinRequest,
    LeaveRequest,
    MembersQuery,
    Origin,
    PresenceQuery,
    PresenceState,
    PublishDecided,
    PublishToRoom,
)
from wsprism.realtime.room.presence import NO_PRESENCE
from wsprism.realtime.room.publications import ListIds, hot_publication
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.backend_messages import SendForBackend

__all__ = ["ROOM_OVERLOADED", "carry_out", "on_publish_decided"]

_faults = LimitedLog(logging.getLogger("wsprism.connection"), time.monotonic)

_ORIGIN: Final = Origin
_PUBLISH: Final = Publish
"""Looked up once, where it is compiled."""

_TENANT_OVERLOADED: Final = "the gateway is overloaded"
_LOST: Final = "the room was restarted; a message may be lost"
_AWAY: Final = "the room cannot be reached now: try again"


class _List:
    """Effects that are carried out together. ``moved``: one of them is a join or leave that is under way.

    ``placed``: the acknowledgement waits for the offset of one of them.
    """

    __slots__ = ("acknowledgement", "ids", "moved", "placed")

    def __init__(self, acknowledgement: Acknowledgement | None, id: str | None) -> None:
        self.acknowledgement = acknowledgement
        self.ids = None if id is None else ListIds(id)
        self.moved = False
        self.placed = False


def carry_out(connection: Core, effects: Effect | Sequence[Effect], origin: Envelope | Origin) -> None:
    """One effect, or several in their order: all of them or, when one cannot be said, none.

    An acknowledgement that was asked for comes behind them, once every one of them is accepted. A disconnect comes
    last.
    """
    if type(effects) is _PUBLISH:  # by far the most frequent: bound early, where it is compiled
        _publish(connection, effects, origin, None)
        return
    single = _CARRY_OUT.get(type(effects))
    if single is not None:
        single(connection, effects, origin, None)
        return
    assert isinstance(effects, (list, tuple)), f"{type(effects).__name__} is no effect"
    in_process = isinstance(origin, Origin) and origin.in_process
    if in_process and len(effects) == 1 and not origin.flags & ACK_REQUESTED:
        _CARRY_OUT[type(effects[0])](connection, effects[0], origin, None)
        return
    prepared: Sequence[Any] | None = effects if in_process else _prepared(connection, effects, origin)
    if prepared is None:
        return
    acknowledgement = None
    if origin.flags & ACK_REQUESTED:
        acknowledgement = Acknowledgement(origin.seq)
        acknowledgement.waiting = 1
    whole = _List(acknowledgement, origin.id)
    granted = True
    end: Disconnect | None = None
    for effect in prepared:
        if isinstance(effect, Disconnect):
            end = end or effect
        elif not _CARRY_OUT[type(effect)](connection, effect, origin, whole):
            granted = False
    if acknowledgement is not None:
        connection.acknowledge(acknowledgement, granted=granted)
    if end is not None:
        _disconnect(connection, end, origin, whole)


def _prepared(connection: Core, effects: Sequence[Any], origin: Envelope | Origin) -> list[Any] | None:
    """``effects`` with their data as JSON; None, and the client and the log told, when one of them cannot be said."""
    prepared = []
    for effect in effects:
        if isinstance(effect, Publish | Reply | Send):
            data = _encode(connection, effect.data, origin.svc, origin)
            if data is None:
                return None
            effect = msgspec.structs.replace(effect, data=msgspec.Raw(data))
        prepared.append(effect)
    return prepared


def _publish(connection: Core, effect: Publish, origin: Envelope | Origin, whole: _List | None) -> bool:
    session = connection.session
    room = effect.room or origin.room or session.active_room
    seq = origin.seq
    if room is None:
        connection.refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", seq)
        return False
    trusted = type(origin) is _ORIGIN
    if session.only_reads_some and not trusted and session.only_reads(room):
        connection.refuse(Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this session may not publish here", seq)
        return False
    svc = effect.svc or origin.svc
    data = _encode(connection, effect.data, svc, origin)
    if data is None:
        return False
    ack, id = (origin.flags & ACK_REQUESTED != 0, origin.id) if whole is None else (False, None)
    publication = ExtPublication(svc, effect.type, data, None if trusted else session, seq, ack, id, effect.echo)
    if trusted:
        publication.author = session
    inbox = connection.rooms.get(room)
    if session.muted and not session.may_say_in(room):
        inbox = None
    token = None
    if whole is not None:
        if whole.ids is not None:
            publication.id = whole.ids.next_in(room)
        token = _token_of_offset(connection, room, publication, whole)
        if whole.moved:
            inbox = None
    if inbox is not None:
        if token is not None:
            connection.expect(token)
        if inbox.publish(publication, connection.trace):
            return True
        connection.settle(token, granted=False)
        return _refuse_overloaded(connection, ROOM_OVERLOADED, seq)
    if not trusted:
        if connection.tenant_context.rules.publish_requires_membership:
            connection.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
            return False
        if not session.principal.may_enter(room):
            connection.refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not publish there", seq)
            return False
    return _publish_by_name(connection, room, publication, seq, token or _token_of_name(whole))


def _publish_hot(connection: Core, effect: PublishHot, origin: Envelope | Origin, whole: _List | None) -> bool:
    room = effect.room or origin.room or connection.session.active_room
    if room is None:
        connection.refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", origin.seq)
        return False
    publication = hot_publication(effect.frame, connection.tenant_context.rules, room)
    if publication is None:
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    return _publish_by_name(connection, room, publication, origin.seq, _token_of_name(whole))


def _publish_by_name(connection: Core, room: str, publication: Any, seq: int | None, token: Decision | None) -> bool:
    """Through the tenant, behind what it was asked before; it tells what became of it."""
    request = PublishToRoom(room, publication, connection.session, seq, token)
    return _ask_tenant(connection, connection.tenant_context.ref.tell(request), token, seq)


def on_publish_decided(connection: Core, message: PublishDecided) -> None:
    """What was published is on its way, or has its place in the room's history; or the room is full, or lost it."""
    token = message.token
    if message.lost:
        connection.refuse(Reason.PUBLICATION_LOST, ErrorCode.INTERNAL, _LOST, message.seq)
    elif message.away:
        connection.refuse(Reason.BROKER_AWAY, ErrorCode.UNAVAILABLE, _AWAY, message.seq)
    elif not message.taken:
        _refuse_overloaded(connection, ROOM_OVERLOADED, message.seq)
    if token is not None and token.acknowledgement is not None and message.offset is not None:
        token.acknowledgement.offset = message.offset
    connection.settle(token, granted=message.taken)


def _reply(connection: Core, effect: Reply, origin: Envelope | Origin, _: _List | None) -> bool:
    message: dict[str, Any] = {"v": sysmsg.VERSION, "svc": origin.svc, "type": effect.type or origin.type}
    if origin.seq is not None:
        message["seq"] = origin.seq
    try:
        raw = connection.codec.binary and isinstance(effect.data, msgspec.Raw)
        message["data"] = msgspec.json.decode(effect.data) if raw else effect.data
        connection.outlet.send(message)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    return True


def _send(connection: Core, effect: Send, origin: Envelope | Origin, _: _List | None) -> bool:
    svc = effect.svc or origin.svc
    data = _encode(connection, effect.data, svc, origin)
    if data is None:
        return False
    publications = (ExtPublication(svc, effect.type, data),)
    taken = connection.tenant_context.ref.tell(SendForBackend(effect.user, publications, effect.sid))
    return taken or _refuse_overloaded(connection, _TENANT_OVERLOADED, origin.seq)


def _send_hot(connection: Core, effect: SendHot, origin: Envelope | Origin, _: _List | None) -> bool:
    tenant = connection.tenant_context
    publication = hot_publication(effect.frame, tenant.rules, None)
    if publication is None:
        _tell_fault(connection, origin.svc, origin.seq)
        return False
    taken = tenant.ref.tell(SendForBackend(effect.user, (publication,), effect.sid))
    return taken or _refuse_overloaded(connection, _TENANT_OVERLOADED, origin.seq)


def _join(connection: Core, effect: JoinRoom, origin: Envelope | Origin, whole: _List | None) -> bool:
    session, seq = connection.session, origin.seq
    if not isinstance(origin, Origin) and not session.principal.may_enter(effect.room):
        connection.refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not join the room", seq)
        return False
    wants = effect.wants
    if wants is not None and wants.state is not msgspec.UNSET:
        state = _state(connection, effect.room, wants.state, seq, optional=True)
        if state is None:
            return False
        wants = msgspec.structs.replace(wants, state=state)
    token = _token_of_move(origin, whole)
    request = JoinRequest(session, effect.room, seq, token, wants=wants)
    if not isinstance(origin, Origin) and ask_about_join(connection, request, origin):
        return True
    return _ask_tenant(connection, connection.tenant_context.ref.tell_control(request), token, seq)


def _leave(connection: Core, effect: LeaveRoom, origin: Envelope | Origin, whole: _List | None) -> bool:
    if whole is not None and whole.moved and effect.room is not None:
        room: str | None = effect.room  # it may be the one that the same list joins
    else:
        room = connection.joined_room(effect.room, origin.seq)
    if room is None:
        return False
    token = _token_of_move(origin, whole)
    request = LeaveRequest(connection.session, room, origin.seq, token)
    return _ask_tenant(connection, connection.tenant_context.ref.tell_control(request), token, origin.seq)


def _token(whole: _List | None, *, holds_back: bool = False, bound: bool = False) -> Decision:
    return Decision(
        holds_back=holds_back, bound=bound, acknowledgement=whole.acknowledgement if whole is not None else None
    )


def _token_of_name(whole: _List | None) -> Decision | None:
    """Of what is published by a room's name: only an acknowledgement waits for it."""
    return None if whole is None or whole.acknowledgement is None else _token(whole)


def _token_of_offset(connection: Core, room: str, publication: ExtPublication, whole: _List) -> Decision | None:
    """Of the publication whose offset stands in its list's acknowledgement: the first into a room that gives any."""
    if whole.acknowledgement is None or whole.placed:
        return None
    if not connection.tenant_context.keeps_history(room):
        return None
    whole.placed = True
    token = _token(whole)
    publication.told = _Placed(connection.session, publication.seq, token)
    return token


class _Placed:
    """Tells a connection which offset its publication got, from the room's turn."""

    __slots__ = ("_seq", "_session", "_token")

    def __init__(self, session: Session, seq: int | None, token: Decision) -> None:
        self._session = session
        self._seq = seq
        self._token = token

    def __call__(self, offset: int | None, *, lost: bool = False, away: bool = False) -> None:
        decided = PublishDecided(not (lost or away), self._seq, self._token, offset, lost, away)
        self._session.connection.tell_control(decided)


def _token_of_move(origin: Envelope | Origin, whole: _List | None) -> Decision:
    """Of a join or leave. One that a client's own message asks for has its place in the order of what it says."""
    if whole is not None:
        whole.moved = True
    asked = not isinstance(origin, Origin)
    return _token(whole, holds_back=asked, bound=asked)


def _ask_tenant(connection: Core, taken: bool, token: Decision | None, seq: int | None) -> bool:
    """The tenant was asked; ``token`` comes back with its answer. Its mailbox may be full."""
    if token is not None:
        connection.expect(token)
    if taken:
        return True
    connection.settle(token, granted=False)
    return _refuse_overloaded(connection, _TENANT_OVERLOADED, seq)


def _ask_room(connection: Core, name: str | None, query: MembersQuery | HistoryQuery | PresenceQuery) -> bool:
    """Ask a room that the client is in; its mailbox may be full."""
    room = connection.joined_room(name, query.seq)
    if room is None:
        return False
    return connection.rooms[room].ref.tell(query) or _refuse_overloaded(connection, ROOM_OVERLOADED, query.seq)


def _list_members(connection: Core, effect: ListMembers, origin: Envelope | Origin, _: _List | None) -> bool:
    return _ask_room(connection, effect.room, MembersQuery(connection.session, origin.seq))


def _list_history(connection: Core, effect: ListHistory, origin: Envelope | Origin, _: _List | None) -> bool:
    return _ask_room(connection, effect.room, HistoryQuery(connection.session, origin.seq, effect.query))


def _list_presence(connection: Core, effect: ListPresence, origin: Envelope | Origin, _: _List | None) -> bool:
    return _ask_room(connection, effect.room, PresenceQuery(connection.session, origin.seq))


def _set_state(connection: Core, effect: SetState, origin: Envelope | Origin, _: _List | None) -> bool:
    room = connection.joined_room(effect.room, origin.seq)
    if room is None:
        return False
    state = _state(connection, room, effect.state, origin.seq)
    if state is None:
        return False
    told = PresenceState(connection.session, origin.seq, state, origin.flags & ACK_REQUESTED != 0)
    taken = connection.rooms[room].ref.tell(told)
    return taken or _refuse_overloaded(connection, ROOM_OVERLOADED, origin.seq)


def _change_value(connection: Core, effect: ChangeValue, origin: Envelope | Origin, _: _List | None) -> bool:
    return change_value(connection, effect, origin)


def _list_values(connection: Core, effect: ListValues, origin: Envelope | Origin, _: _List | None) -> bool:
    return list_values(connection, effect, origin)


def _state(connection: Core, room: str, state: Any, seq: int | None, *, optional: bool = False) -> msgspec.Raw | None:
    """``state`` as JSON; None, and the client told, when the room does not take it.

    ``optional``: a room without presence does not look at it.
    """
    rules = connection.tenant_context.rules.rooms.of(room).presence
    if rules is None:
        if optional:
            return msgspec.Raw(b"null")
        connection.refuse(Reason.BAD_REQUEST, ErrorCode.NOT_ALLOWED, NO_PRESENCE, seq)
        return None
    raw = JSON.encode(state)
    if len(raw) > rules.max_state_bytes:
        msg = f"state has {len(raw)} bytes; {rules.max_state_bytes} are allowed"
        connection.refuse(Reason.BAD_REQUEST, ErrorCode.PAYLOAD_TOO_LARGE, msg, seq)
        return None
    return msgspec.Raw(raw)


def _refuse_by_service(connection: Core, effect: Refuse, origin: Envelope | Origin, _: _List | None) -> bool:
    reason = Reason.BAD_REQUEST
    if isinstance(origin, Origin):
        reason = Reason.SERVICE_REFUSED if origin.in_process else Reason.BACKEND_REFUSED
    connection.refuse(reason, effect.code, effect.msg, origin.seq)
    return False


def _fail(connection: Core, effect: Fail, origin: Envelope | Origin, _: _List | None) -> bool:
    connection.refuse(effect.reason, effect.code, effect.msg, origin.seq)
    return False


def _answer(connection: Core, effect: Answer, origin: Envelope | Origin, _: _List | None) -> bool:
    effects, asked = effect.effects, _origin_of(origin)
    if len(effects) == 1 and not asked.flags & ACK_REQUESTED:
        _CARRY_OUT[type(effects[0])](connection, effects[0], asked, None)
    else:
        carry_out(connection, effects, asked)
    return True


def _later(connection: Core, effect: Later, origin: Envelope | Origin, _: _List | None) -> bool:
    ask_service(connection, effect, _origin_of(origin))
    return True


def _origin_of(origin: Envelope | Origin) -> Origin:
    return Origin(origin.svc, origin.type, origin.seq, origin.flags, origin.room, True, origin.id)


def _disconnect(connection: Core, effect: Disconnect, origin: Envelope | Origin, _: _List | None) -> bool:  # noqa: ARG001
    notice = None if may_reconnect(effect.code) else sysmsg.kicked(effect.reason, connection.session.trace_id)
    connection.close(CloseConnection(effect.code, effect.reason, notice))
    return True


def _ask_backend(connection: Core, _: AskBackend, origin: Envelope | Origin, __: _List | None) -> bool:
    assert isinstance(origin, Envelope), "only a client's message is asked about"
    ask_backend(connection, origin)
    return True


def _encode(connection: Core, data: Any, svc: str, origin: Envelope | Origin) -> bytes | None:
    """``data`` as a publication's; None, and the client and the log told, when not every client could be told it."""
    if type(origin) is _ORIGIN and origin.in_process:
        return b"null" if data is None else bytes(data)
    try:
        return data_of(data)
    except NotPortable:
        _tell_fault(connection, svc, origin.seq)
        return None


def _tell_fault(connection: Core, svc: str, seq: int | None) -> None:
    connection.refuse(Reason.SERVICE_FAULT, ErrorCode.INTERNAL, "the service failed", seq)
    _faults.log(svc, "a service gave what JSON or MessagePack cannot say", level=logging.ERROR, service=svc)


def _refuse_overloaded(connection: Core, msg: str, seq: int | None) -> bool:
    connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, msg, seq)
    return False


_CARRY_OUT: Final[dict[type, Callable[[Core, Any, Envelope | Origin, _List | None], bool]]] = {
    Answer: _answer,
    AskBackend: _ask_backend,
    ChangeValue: _change_value,
    Disconnect: _disconnect,
    Fail: _fail,
    JoinRoom: _join,
    Later: _later,
    LeaveRoom: _leave,
    ListHistory: _list_history,
    ListMembers: _list_members,
    ListPresence: _list_presence,
    ListValues: _list_values,
    Publish: _publish,
    PublishHot: _publish_hot,
    Refuse: _refuse_by_service,
    Reply: _reply,
    Send: _send,
    SendHot: _send_hot,
    SetState: _set_state,
}
"""By the effect's type: carries it out, and says whether it was accepted, or is asked for."""
