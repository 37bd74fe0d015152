"""Effects on the values that a room's members share (`kind: state`), for one connection.

A change is counted at once and told in the room's order. Whoever was given the state of a version leaves out the
changes that it has already; so it matters to nobody that a state may be newer than its place in that order. Over nodes
both are the broker's to do, at their place among what the connection publishes (ADR 0049).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from wsprism.policy.decisions import Reason
from wsprism.policy.values import RoomValues, ValueChange, ValueDenial, Why
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, Envelope
from wsprism.realtime.connection.core import ROOM_OVERLOADED, Core
from wsprism.realtime.messages import ExtPublication, ValueWork
from wsprism.realtime.room.outbox import ROOM_AWAY
from wsprism.realtime.room.values import changed_value, values_message, wanted_value

if TYPE_CHECKING:
    from wsprism.effects import ChangeValue, ListValues
    from wsprism.ports import Values
    from wsprism.realtime.messages import Origin
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.session import Session

__all__ = ["change_value", "list_values"]


def change_value(connection: Core, effect: ChangeValue, origin: Envelope | Origin) -> bool:
    """Set or delete one key, as whoever may publish in the room. Whether it was accepted."""
    session, tenant, svc, seq = connection.session, connection.tenant_context, origin.svc, origin.seq
    room = connection.joined_room(effect.room, seq)
    if room is None:
        return False
    if session.muted and not session.may_say_in(room):
        return _refuse(connection, Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
    if session.only_reads(room):
        return _refuse(connection, Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this session may not publish here", seq)
    table, rules, inbox = tenant.values, tenant.rules, connection.rooms[room]
    key, data, user = effect.key, effect.data, session.user
    change = ValueChange(svc, key, data, user, effect.if_version, rules.values[svc], rules.max_values_bytes)
    ack = origin.flags & ACK_REQUESTED != 0
    if inbox.over_nodes:
        wanted = wanted_value(svc, key, data, user)
        wanted.sender, wanted.ack, wanted.seq = session, ack, seq
        return _ask(connection, inbox, ValueWork(wanted, change, partial(_answer_change, connection, change, seq, ack)))
    denial = table.denial(room, change)
    if denial is not None and denial.why is Why.UNSET:  # nothing changes, and nobody is told
        if ack:
            _acknowledge(session, seq, None)
        return True
    if denial is not None:
        return _refuse(connection, *_refusal(denial), denial.said_of(change), seq)
    publication = changed_value(svc, table.of(room, svc).version + 1, key, data, user)
    publication.author = session
    if ack:
        publication.told = partial(_acknowledge, session, seq)
    if not inbox.publish(publication, connection.trace):
        return _refuse(connection, Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, seq)
    table.change(room, svc, key, data, user)
    return True


def list_values(connection: Core, effect: ListValues, origin: Envelope | Origin) -> bool:
    """Tell the sender what is kept, as far as it is known at this moment; over nodes as the broker knows it."""
    svc, key, seq = origin.svc, effect.key, origin.seq
    room = connection.joined_room(effect.room, seq)
    if room is None:
        return False
    inbox = connection.rooms[room]
    if not inbox.over_nodes:
        _tell_values(connection, svc, room, key, seq, connection.tenant_context.values.of(room, svc))
        return True

    def answered(answer: ValueDenial | Values) -> None:
        if isinstance(answer, Mapping) and not connection.session.ended:
            _tell_values(connection, svc, room, key, seq, answer.get(svc) or RoomValues())

    asked = ExtPublication(svc, "get", b"", sender=connection.session, seq=seq, ack=True)
    return _ask(connection, inbox, ValueWork(asked, None, answered, service=svc, key=key))


def _tell_values(connection: Core, svc: str, room: str, key: str | None, seq: int | None, values: RoomValues) -> None:
    listing = values.listing(key)
    connection.outlet.send(values_message(svc, room, listing, binary=connection.codec.binary, seq=seq))


def _ask(connection: Core, inbox: Inbox, work: ValueWork) -> bool:
    if inbox.ask(work):
        return True
    return _refuse(connection, Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, work.publication.seq)


def _answer_change(
    connection: Core, change: ValueChange, seq: int | None, ack: bool, answer: ValueDenial | Values
) -> None:
    """Of a change over nodes that did not happen."""
    session = connection.session
    if not isinstance(answer, ValueDenial) or session.ended:
        return
    if answer.why is not Why.UNSET:
        _refuse(connection, *_refusal(answer), answer.said_of(change), seq)
    elif ack:
        _acknowledge(session, seq, None)


def _refusal(denial: ValueDenial) -> tuple[Reason, ErrorCode]:
    if denial.why is Why.VERSION:
        return Reason.VALUE_CHANGED, ErrorCode.NOT_ALLOWED
    return Reason.VALUES_FULL, ErrorCode.RESOURCE_EXHAUSTED


def _acknowledge(
    session: Session, seq: int | None, offset: int | None, *, lost: bool = False, away: bool = False
) -> None:
    if lost or session.ended:
        return
    if away:
        session.outlet.send(sysmsg.error(ErrorCode.UNAVAILABLE, ROOM_AWAY, session.trace_id, seq))
    else:
        session.outlet.send(sysmsg.ack(seq, session.trace_id, offset))


def _refuse(connection: Core, reason: Reason, code: ErrorCode, msg: str, seq: int | None) -> bool:
    connection.refuse(reason, code, msg, seq)
    return False
