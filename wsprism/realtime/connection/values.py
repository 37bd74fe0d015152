"""Effects on the values that a room's members share (`kind: state`), for one connection.

A change is counted at once and told in the room's order. Whoever was given the state of a version leaves out the
changes that it has already; so it matters to nobody that a state may be newer than its place in that order.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wsprism.policy.decisions import Reason
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, Envelope
from wsprism.realtime.connection.core import ROOM_OVERLOADED, Core
from wsprism.realtime.room.outbox import ROOM_AWAY
from wsprism.realtime.room.values import changed_value, values_message

if TYPE_CHECKING:
    from wsprism.effects import ChangeValue, ListValues
    from wsprism.realtime.messages import Origin
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
    table, rules = tenant.values, tenant.rules
    values = table.of(room, svc)
    key, data, user = effect.key, effect.data, session.user
    version = values.version_of(key)
    if effect.if_version is not None and effect.if_version != version:
        msg = f"the key has version {version}" if version else "the key is not set"
        return _refuse(connection, Reason.VALUE_CHANGED, ErrorCode.NOT_ALLOWED, msg, seq)
    full = table.refusal(room, svc, key, data, user, rules.values[svc], rules.max_values_bytes)
    if full is not None:
        return _refuse(connection, Reason.VALUES_FULL, ErrorCode.RESOURCE_EXHAUSTED, full, seq)
    ack = origin.flags & ACK_REQUESTED != 0
    if data is None and not version:  # nothing changes, and nobody is told
        if ack:
            _acknowledge(session, seq, None)
        return True
    publication = changed_value(svc, values.version + 1, key, data, user)
    publication.author = session
    if ack:
        publication.told = partial(_acknowledge, session, seq)
    if not connection.rooms[room].publish(publication, connection.trace):
        return _refuse(connection, Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, seq)
    table.change(room, svc, key, data, user)
    return True


def list_values(connection: Core, effect: ListValues, origin: Envelope | Origin) -> bool:
    """Tell the sender what is kept, as far as it is known at this moment."""
    room = connection.joined_room(effect.room, origin.seq)
    if room is None:
        return False
    listing = connection.tenant_context.values.of(room, origin.svc).listing(effect.key)
    connection.outlet.send(values_message(origin.svc, room, listing, binary=connection.codec.binary, seq=origin.seq))
    return True


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
