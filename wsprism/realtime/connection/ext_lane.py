"""The ext lane of a connection: one message in, checked from cheap to dear, and what its service makes of it."""

from __future__ import annotations

from typing import Any

from wsprism.policy.decisions import Reason
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import Envelope, EnvelopeFault
from wsprism.protocol.websocket import size_in_bytes
from wsprism.realtime.connection.carry_out import carry_out
from wsprism.realtime.connection.core import Core
from wsprism.realtime.connection.refresh import ask_for_refresh
from wsprism.realtime.messages import CloseConnection

__all__ = ["hear_ext"]


def hear_ext(connection: Core, payload: str | bytes) -> None:
    """Hear one message of the ext lane, to its end."""
    tenant = connection.tenant_context
    counters = tenant.counters
    counters.messages_in_ext += 1
    counters.bytes_in_ext += len(payload) if payload.isascii() else size_in_bytes(payload)
    now = tenant.now()
    if not connection.limiter.allow(now):
        seq = connection.codec.read_seq(payload)
        connection.refuse(Reason.RATE_LIMITED_EXT, ErrorCode.RATE_LIMITED, "too many messages", seq)
        connection.close_if_too_long_over_limit(now)
        return
    envelope = connection.codec.decode(payload)
    if type(envelope) is EnvelopeFault:
        _hear_fault(connection, envelope)
        return
    connection.faults_in_row = 0
    if envelope.trace is not None:
        connection.trace = tenant.sampler.follow(connection.trace, envelope.trace, tenant.id, connection.session)
    svc, kind = envelope.svc, envelope.type
    if svc == "sys":
        _hear_sys(connection, envelope)
        return
    rules = tenant.rules
    if not rules.ext_allowlist.allows(svc, kind):
        connection.refuse(Reason.NOT_ALLOWED_EXT, ErrorCode.NOT_ALLOWED, "message type not allowed", envelope.seq)
        return
    service = rules.services.ext.get(svc)
    if service is None or ((types := service.types) is not None and kind not in types):
        _refuse_unknown(connection, envelope, service is not None)
        return
    by_service = counters.messages_by_ext_service
    by_service[svc] = by_service.get(svc, 0) + 1
    if connection.trace is not None:
        connection.trace.mark("policy")
    effect: Any = service.handle(connection, envelope)
    if connection.trace is not None:
        connection.trace.mark("service", service=svc, type=kind)
    if effect is not None:
        carry_out(connection, effect, envelope)


def _refuse_unknown(connection: Core, envelope: Envelope, service_is_known: bool) -> None:
    """The names are the client's own, and within their bounds already."""
    if service_is_known:
        msg = f"service {envelope.svc} has no type {envelope.type}"
    else:
        msg = f"no such service: {envelope.svc}"
    connection.refuse(Reason.UNKNOWN_SERVICE, ErrorCode.NOT_ALLOWED, msg, envelope.seq)


def _hear_fault(connection: Core, fault: EnvelopeFault) -> None:
    reason = Reason.UNSUPPORTED_VERSION if fault.code is ErrorCode.UNSUPPORTED_VERSION else Reason.BAD_REQUEST
    connection.refuse(reason, fault.code, fault.msg, fault.seq)
    connection.faults_in_row += 1
    most = connection.tenant_context.rules.max_protocol_errors
    if most and connection.faults_in_row >= most:
        connection.close(CloseConnection(CloseCode.PROTOCOL_ERRORS, "too many protocol errors"))


def _hear_sys(connection: Core, envelope: Envelope) -> None:
    if envelope.type == "ping":
        session = connection.session
        session.outlet.send(sysmsg.pong(envelope.data, session.trace_id, envelope.seq))
    elif envelope.type == "refresh":
        ask_for_refresh(connection, envelope)
    else:
        connection.refuse(Reason.NOT_ALLOWED_EXT, ErrorCode.NOT_ALLOWED, "message type not allowed", envelope.seq)
