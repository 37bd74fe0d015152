"""Answers that come later: a message is asked of the tenant's backend, or of a service that takes its time, and its
effects are carried out when they come.

The answer comes back as a message, so that no actor is touched from outside its turn. It survives its connection where
it concerns others: then the tenant carries it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wsprism.policy.decisions import Reason
from wsprism.ports import BackendLine, CallResult, Unanswered
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.realtime.connection.core import Core
from wsprism.realtime.messages import Answered, Origin
from wsprism.realtime.tenant.news import facts_of

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.effects import Effect, Later
    from wsprism.protocol.traces import CallTrace
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session

__all__ = ["REFUSALS", "ask_backend", "ask_service", "call_of", "number_of", "refuse_unanswered", "withdraw"]

REFUSALS: Final = {
    CallResult.REFUSED: (Reason.BACKEND_REFUSED, ErrorCode.NOT_ALLOWED, "the backend says no"),
    CallResult.TIMEOUT: (Reason.BACKEND_FAILED, ErrorCode.TIMEOUT, "the backend gave no answer in time"),
    CallResult.UNREACHABLE: (Reason.BACKEND_FAILED, ErrorCode.UNAVAILABLE, "the backend is away"),
    CallResult.INVALID: (Reason.BACKEND_FAILED, ErrorCode.INTERNAL, "the backend's answer cannot be used"),
    CallResult.OVERLOADED: (Reason.BACKEND_BUSY, ErrorCode.RESOURCE_EXHAUSTED, "too much waits for the backend"),
    CallResult.OPEN: (Reason.BACKEND_BUSY, ErrorCode.RESOURCE_EXHAUSTED, "the backend fails, and is not asked now"),
}
"""What a client is told when its message has no answer."""


def ask_backend(connection: Core, envelope: Envelope) -> None:
    """Have the backend answer a message of a webhook service."""
    backend = connection.tenant_context.backend
    svc, seq = envelope.svc, envelope.seq
    line = None if backend is None else _line_of(connection, svc)
    if backend is None or line is None:
        connection.refuse(Reason.BACKEND_FAILED, ErrorCode.UNAVAILABLE, "the tenant has no backend now", seq)
        return
    message: dict[str, Any] = {"svc": svc, "type": envelope.type}
    if envelope.room is not None:
        message["room"] = envelope.room
        number = number_of(connection.tenant_context, envelope.room)
        if number is not None:
            message["number"] = number
    if seq is not None:
        message["seq"] = seq
    if envelope.id is not None:
        message["id"] = envelope.id
    data_bytes = 0
    if envelope.data is not None:
        data_bytes = len(bytes(envelope.data))
        data: Any = envelope.data
        if connection.codec.binary:
            data = connection.codec.decode_data(envelope.data)
            if isinstance(data, DataFault):
                connection.refuse(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, data.msg, seq)
                return
        message["data"] = data
    session = connection.session
    origin = Origin(svc, envelope.type, seq, envelope.flags, envelope.room, id=envelope.id)
    ref, tenant = connection.context.ref, connection.tenant_context.ref

    def answered(result: Any) -> None:
        answer = Answered(session, origin, result)
        if not (ref.alive and ref.tell_control(answer)):
            tenant.tell_control(answer)

    refused = backend.ask_message(svc, line, facts_of(session), message, data_bytes, answered, call_of(connection))
    if refused is not None:
        connection.refuse(*REFUSALS[refused], seq)


class _Asker:
    """A message of a connection that waits for its service's answer."""

    __slots__ = ("_origin", "_ref", "_session", "_tenant")

    def __init__(self, session: Session, origin: Origin, ref: ActorRef, tenant: ActorRef) -> None:
        self._session = session
        self._origin = origin
        self._ref = ref
        self._tenant = tenant

    @property
    def listens(self) -> bool:
        return self._ref.alive and not self._session.ended

    def answer(self, effects: list[Effect]) -> None:
        answered = Answered(self._session, self._origin, effects)
        if not (self._ref.alive and self._ref.tell_control(answered)):
            self._tenant.tell_control(answered)


def ask_service(connection: Core, effect: Later, origin: Origin) -> None:
    """Have a service of this process answer a message when it can."""
    asker = _Asker(connection.session, origin, connection.context.ref, connection.tenant_context.ref)
    effect.begin(asker)


def _line_of(connection: Core, svc: str) -> BackendLine | None:
    """Where its messages to a webhook service wait; None: there is no such service at the backend (any more)."""
    lines, backend = connection.lines, connection.tenant_context.backend
    line = None if lines is None else lines.get(svc)
    if line is None and backend is not None:
        line = backend.line(svc)
        if line is not None:
            if connection.lines is None:
                connection.lines = {}
            connection.lines[svc] = line
    return line


def withdraw(connection: Core) -> None:
    """It has ended: what of it has not been asked is not asked any more."""
    backend = connection.tenant_context.backend
    if connection.lines is not None and backend is not None:
        for line in connection.lines.values():
            backend.withdraw(line)


def refuse_unanswered(connection: Core, answer: Unanswered, seq: int | None) -> None:
    """Tell the client that its message has no answer, and why."""
    connection.refuse(*REFUSALS[answer.result], seq)


def number_of(tenant: TenantContext, room: str) -> int | None:
    """What stands for a live room in hot frames, where the backend may hear any."""
    if tenant.backend is None or tenant.backend.streams is None:
        return None
    entry = tenant.registry.rooms.get(room)
    return None if entry is None else entry.number


def call_of(connection: Core) -> CallTrace | None:
    """The trace of a call about the message that is being heard, where that is traced."""
    trace = connection.trace
    return None if trace is None else connection.tenant_context.sampler.call(trace.span())
