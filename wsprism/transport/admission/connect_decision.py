"""The backend's word on a handshake whose ticket is good: who may come in, and into which rooms (docs/backend.md).

It fails closed: without a usable answer nobody gets in, unless ``on_failure: allow`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsprism.ports import CallResult, Principal, Unanswered
from wsprism.protocol.backend import ConnectAnswer, SessionFacts
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.traces import SpanRef
from wsprism.realtime.rules import TenantContext
from wsprism.transport.admission.refusal import Refusal

__all__ = ["Candidate", "decide_connect"]

_REFUSED: Final = "the backend says no"
_UNANSWERED: Final = Refusal(
    503,
    ErrorCode.UNAVAILABLE,
    "the backend cannot decide now",
    "connect_unanswered",
    {"Retry-After": "2"},
    close=CloseCode.TRY_LATER,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who knocks: what a ``connect`` question says besides the tenant. ``span``: of a connection that is traced."""

    principal: Principal
    sid: str
    generation: int
    remote_address: str
    origin: str | None
    user_agent: str | None
    span: SpanRef | None = None


async def decide_connect(tenant: TenantContext, candidate: Candidate) -> ConnectAnswer | Refusal | None:
    """The backend's yes, or a refusal; None: it is not asked, or cannot be and that means yes."""
    backend = tenant.backend
    if backend is None or "connect" not in backend.asks:
        return None
    principal = candidate.principal
    metadata = principal.metadata if principal.metadata else None
    fields = {
        "session": SessionFacts(principal.user, candidate.sid, candidate.generation, metadata),
        "remote_address": candidate.remote_address,
        "origin": candidate.origin,
        "user_agent": candidate.user_agent,
    }
    answer = await backend.ask_connect(fields, tenant.sampler.call(candidate.span))
    if isinstance(answer, Unanswered):
        if answer.result is CallResult.REFUSED:
            return Refusal(403, ErrorCode.NOT_ALLOWED, _REFUSED, "connect", close=CloseCode.NOT_ALLOWED_HERE)
        return None if backend.on_failure_allow else _UNANSWERED
    if not answer.allow:
        return Refusal(403, ErrorCode.NOT_ALLOWED, answer.msg or _REFUSED, "connect", close=CloseCode.NOT_ALLOWED_HERE)
    return answer
