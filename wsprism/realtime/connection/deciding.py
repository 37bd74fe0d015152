"""The backend's word on a join that a client asks for, before any limit is counted (docs/backend.md).

The client's further messages wait for it as for the join itself. It fails closed: without a usable answer nobody joins,
unless ``on_failure: allow`` says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from wsprism.policy.decisions import Reason
from wsprism.ports import CallResult, Unanswered
from wsprism.protocol.backend import JoinAnswer
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.realtime.connection.core import Core
from wsprism.realtime.connection.later import call_of, number_of
from wsprism.realtime.messages import JoinDecided, JoinRequest
from wsprism.realtime.tenant.news import facts_of

__all__ = ["ask_about_join", "decide_join"]

_REFUSED: Final = "the backend says no"
_AWAY: Final = "the backend cannot decide now"


def ask_about_join(connection: Core, request: JoinRequest, envelope: Envelope) -> bool:
    """Have the backend decide; False: it is not asked about joins."""
    backend = connection.tenant_context.backend
    if backend is None or "join" not in backend.asks:
        return False
    fields: dict[str, Any] = {"session": facts_of(connection.session), "room": request.room}
    fields["number"] = number_of(connection.tenant_context, request.room)
    data_bytes = 0
    if envelope.data is not None:
        data_bytes = len(bytes(envelope.data))
        data: Any = connection.codec.decode_data(envelope.data) if connection.codec.binary else envelope.data
        if not isinstance(data, DataFault):
            fields["data"] = data
    assert request.token is not None, "a client waits for it"
    connection.expect(request.token)
    ref = connection.context.ref

    def answered(result: JoinAnswer | Unanswered) -> None:
        if ref.alive:
            ref.tell_control(JoinDecided(request, result))

    refused = backend.ask_join(fields, data_bytes, answered, call_of(connection))
    if refused is not None:
        ref.tell_control(JoinDecided(request, Unanswered(refused, "it was not asked")))
    return True


def decide_join(connection: Core, message: JoinDecided) -> None:
    """Go on with a join that was allowed, or tell the client why not."""
    request, answer = message.request, message.answer
    backend = connection.tenant_context.backend
    if isinstance(answer, Unanswered):
        if answer.result is CallResult.REFUSED:
            _refuse(connection, request, Reason.BACKEND_REFUSED, ErrorCode.NOT_ALLOWED, _REFUSED)
        elif backend is not None and backend.on_failure_allow:
            _go_on(connection, request)
        else:
            _refuse(connection, request, Reason.BACKEND_FAILED, ErrorCode.UNAVAILABLE, _AWAY)
    elif answer.allow:
        _go_on(connection, replace(request, answer=answer))
    else:
        _refuse(connection, request, Reason.BACKEND_REFUSED, ErrorCode.NOT_ALLOWED, answer.msg or _REFUSED)


def _go_on(connection: Core, request: JoinRequest) -> None:
    if connection.session.ended or not connection.tenant_context.ref.tell_control(request):
        connection.settle(request.token, granted=False)


def _refuse(connection: Core, request: JoinRequest, reason: Reason, code: ErrorCode, msg: str) -> None:
    connection.refuse(reason, code, msg, request.seq)
    connection.settle(request.token, granted=False)
