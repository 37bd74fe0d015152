"""The hot lane of a connection: one frame in, checked from cheap to dear, and on its way into a room."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

from qos import Frame, Lane
from wsprism.policy.decisions import Reason
from wsprism.ports import FilteringService, HotService, HotVerdict
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.frames import binary_frame
from wsprism.protocol.hot import ACK_REQUESTED, HotFault, HotFrame, decode_hot, with_room, with_sender
from wsprism.realtime.connection.carry_out import ROOM_OVERLOADED
from wsprism.realtime.connection.core import Core
from wsprism.realtime.messages import HotPublication

__all__ = ["hear_hot"]


def hear_hot(connection: Core, raw: bytes) -> None:
    """Hear one frame of the hot lane, to its end."""
    if connection.trace is not None:
        connection.trace.lane = "hot"
    tenant = connection.tenant_context
    counters = tenant.counters
    counters.messages_in_hot += 1
    counters.bytes_in_hot += len(raw)
    now = tenant.now()
    if not connection.limiter.allow(now):
        counters.decisions.count(Reason.RATE_LIMITED_HOT)
        connection.close_if_too_long_over_limit(now)
        return
    rules = tenant.rules
    frame = decode_hot(raw, rules.hot_framing)
    if type(frame) is HotFault:
        _refuse(connection, Reason.BAD_REQUEST_HOT, ErrorCode.BAD_REQUEST, frame.reason, None)
        return
    service_id = frame.service_id
    if not rules.hot_allowlist.allows(service_id, frame.opcode):
        _refuse(connection, Reason.NOT_ALLOWED_HOT, ErrorCode.NOT_ALLOWED, "opcode not allowed", frame.seq)
        return
    service = rules.services.hot.get(service_id)
    if service is None:
        msg = f"no such service: {service_id}"
        _refuse(connection, Reason.UNKNOWN_SERVICE, ErrorCode.NOT_ALLOWED, msg, frame.seq)
        return
    session = connection.session
    room = session.active_room
    if frame.room is not None:
        room = tenant.registry.room_numbers.name_of(frame.room)
        if room is None or room not in connection.rooms:
            msg = "not a member of a room of this number"
            _refuse(connection, Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, msg, frame.seq)
            return
    if session.only_reads_some and (session.principal.read_only if room is None else session.only_reads(room)):
        _refuse(connection, Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this session may not publish here", frame.seq)
        return
    by_service = counters.messages_by_hot_service
    by_service[service_id] = by_service.get(service_id, 0) + 1
    if connection.trace is not None:
        connection.trace.mark("policy", service=str(service_id), opcode=frame.opcode)
    if service.filters:
        filtered = _filter(connection, service, room, frame)
        if filtered is None:
            return
        frame = filtered
        raw = frame.raw
    if rules.hot_room_numbers or frame.room is not None:
        frame = with_room(frame, connection.rooms[room].number if rules.hot_room_numbers and room is not None else None)
        raw = frame.raw
    ready = binary_frame(raw if not service.include_sender else with_sender(frame, session.user))
    ack = bool(frame.flags & ACK_REQUESTED)
    if not service.deliver:
        if ack:
            session.outlet.send(sysmsg.ack(frame.seq, session.trace_id))
        return
    if room is None:
        if rules.hot_requires_active_room:
            _refuse(connection, Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", frame.seq)
            return
        session.outlet.offer(Frame(ready, Lane.HOT, None))
        if ack:
            session.outlet.send(sysmsg.ack(frame.seq, session.trace_id))
        return
    if session.muted and not session.may_say_in(room):
        _refuse(connection, Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", frame.seq)
        return
    conflation = rules.conflation
    key = None
    if conflation.active:
        key = (room, frame.service_id, conflation.key_for(session, frame.opcode, frame.payload))
    if service.to_backend:
        _hand_on(connection, room, frame, key, ack=ack)
        return
    publication = HotPublication(ready, key, session, service.echo, frame.seq, ack)
    if not connection.rooms[room].publish(publication, connection.trace):
        if ack:
            connection.refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, ROOM_OVERLOADED, frame.seq)
        else:
            counters.decisions.count(Reason.MAILBOX_FULL)


def _filter(connection: Core, service: HotService, room: str | None, frame: HotFrame) -> HotFrame | None:
    """What its service makes of a frame that may be published; None: nothing goes out."""
    tenant, session = connection.tenant_context, connection.session
    if room is None and tenant.rules.hot_requires_active_room:
        _refuse(connection, Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", frame.seq)
        return None
    if room is not None and session.muted and not session.may_say_in(room):
        _refuse(connection, Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", frame.seq)
        return None
    verdict = cast(FilteringService, service).filter(connection, room, frame)
    if connection.trace is not None:
        connection.trace.mark("service", service=str(frame.service_id), opcode=frame.opcode)
    if isinstance(verdict, HotVerdict):
        if verdict is HotVerdict.PASS:
            return frame
        if verdict is not HotVerdict.DROP:
            failed = verdict is HotVerdict.FAILED
            tenant.counters.decisions.count(Reason.SERVICE_FAULT if failed else Reason.SERVICE_SUSPENDED)
        return None
    rewritten = decode_hot(verdict, tenant.rules.hot_framing)
    return None if isinstance(rewritten, HotFault) else rewritten


def _hand_on(connection: Core, room: str, frame: HotFrame, key: Hashable | None, *, ack: bool) -> None:
    """To the backend's stream: what the room's members hear of it, the backend publishes."""
    tenant, session = connection.tenant_context, connection.session
    entry = tenant.registry.rooms.get(room)
    streams = None if tenant.backend is None else tenant.backend.streams
    if entry is None:
        _refuse(connection, Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", frame.seq)
    elif streams is None or not streams.hand_on(room, entry.number, session.user, frame.raw, key):
        _refuse(connection, Reason.BACKEND_FAILED, ErrorCode.UNAVAILABLE, "the backend is away", frame.seq)
    elif ack:
        session.outlet.send(sysmsg.ack(frame.seq, session.trace_id))


def _refuse(connection: Core, reason: Reason, code: ErrorCode, msg: str, seq: int | None) -> None:
    if connection.tenant_context.rules.hot_errors_silent:
        connection.tenant_context.counters.decisions.count(reason)
    else:
        connection.refuse(reason, code, msg, seq)
