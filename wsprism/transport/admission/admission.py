"""Every check between a client's wish to come in and its session, cheapest first. Each no has one counted reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from msgspec import structs

from actors import ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.handshake import HandshakeLimiter
from wsprism.policy.users import is_user_id
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.backend import ConnectAnswer
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.handshake import SUBPROTOCOL_MSGPACK, negotiate
from wsprism.protocol.traces import ConnectionTrace
from wsprism.realtime.messages import OpenSession, SessionOpened
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.sampling import new_trace_id
from wsprism.realtime.waiting import answer_of
from wsprism.transport.admission.applicant import Admitted, Applicant, told
from wsprism.transport.admission.connect_decision import Candidate, decide_connect
from wsprism.transport.admission.refusal import Refusal

__all__ = ["Admission"]

_ASK_TIMEOUT_S: Final = 5.0
_TENANT_FULL_RETRY_AFTER_S: Final = 5

_DRAINING: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "draining", "draining", {"Retry-After": "1"})
_UNKNOWN_TENANT: Final = Refusal(
    400, ErrorCode.BAD_REQUEST, "unknown tenant", "unknown_tenant", close=CloseCode.NOT_ALLOWED_HERE
)
_ORIGIN: Final = Refusal(403, ErrorCode.NOT_ALLOWED, "origin not allowed", "origin", close=CloseCode.NOT_ALLOWED_HERE)
_TICKET: Final = Refusal(
    401,
    ErrorCode.AUTH_FAILED,
    "ticket refused",
    "ticket",
    {"WWW-Authenticate": "Bearer"},
    close=CloseCode.TICKET,
)
_REFUSED_TICKETS: Final = {
    TicketRefusal.REFUSED: _TICKET,
    TicketRefusal.EXPIRED: replace(
        _TICKET, msg="ticket expired", reason=TicketRefusal.EXPIRED.value, close=CloseCode.TICKET_EXPIRED
    ),
    TicketRefusal.CANNOT_TELL: Refusal(
        503,
        ErrorCode.UNAVAILABLE,
        "the ticket cannot be judged now",
        TicketRefusal.CANNOT_TELL.value,
        {"Retry-After": "2"},
        close=CloseCode.TRY_LATER,
    ),
}
_CUT_OFF: Final = Refusal(
    503,
    ErrorCode.UNAVAILABLE,
    "the other nodes cannot be reached now",
    Reason.BROKER_AWAY.value,
    {"Retry-After": "2"},
    close=CloseCode.TRY_LATER,
)
_OVERLOADED: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "overloaded", "overloaded", {"Retry-After": "1"})


class Admission:
    """``may_knock``, then ``admit``. The tenants and everything that is public may change while it runs.

    ``max_judging``: so many of a tenant's tickets are judged at once; one more is refused, so that a slow backend holds
    no crowd.
    """

    def __init__(
        self,
        tenants: Mapping[str, TenantContext],
        limiter: HandshakeLimiter | None,
        now: Callable[[], float],
        *,
        max_judging: int,
    ) -> None:
        self.draining = False
        self.limiter = limiter
        self.max_judging = max_judging
        self._tenants = tenants
        self._now = now
        self._judging: Counter[str] = Counter()  # by tenant: one's slow backend keeps nobody else's clients out

    def may_knock(self, remote_address: str) -> Refusal | None:
        """Before anything of a request is read: whether this address is heard now."""
        if self.draining:
            return _DRAINING
        if self.limiter is None:
            return None
        denied = self.limiter.check(remote_address, self._now())
        if denied is None:
            return None
        headers = {"Retry-After": str(denied.retry_after_s)}
        return Refusal(429, ErrorCode.RATE_LIMITED, "too many handshakes", denied.reason.value, headers)

    async def admit(self, applicant: Applicant) -> Admitted | Refusal:
        """A session that waits for its socket, or why there is none. Never raises for anything that a client did."""
        tenant = self._tenants.get(applicant.tenant)
        if tenant is None:
            return _UNKNOWN_TENANT
        if tenant.cut_off:
            return replace(_CUT_OFF, tenant=tenant.id)
        outcome = await self._admit_to(tenant, applicant)
        if isinstance(outcome, Admitted):
            return outcome
        if outcome.status == HTTPStatus.UNAUTHORIZED:
            tenant.counters.decisions.count(Reason.AUTH_FAILED)
        return replace(outcome, tenant=tenant.id)

    async def _admit_to(self, tenant: TenantContext, applicant: Applicant) -> Admitted | Refusal:
        origins = tenant.rules.allowed_origins
        if origins is not None and applicant.origin is not None and not origins.allows(applicant.origin):
            return _ORIGIN
        trace = tenant.sampler.connection(applicant.traceparent)
        if self._judging[tenant.id] >= self.max_judging:
            return _OVERLOADED
        applicant = structs.replace(applicant, origin=told(applicant.origin), user_agent=told(applicant.user_agent))
        self._judging[tenant.id] += 1
        try:
            principal = await self._authenticate(tenant, applicant)
        finally:
            self._judging[tenant.id] -= 1
        if isinstance(principal, TicketRefusal):
            return _REFUSED_TICKETS[principal]
        if not is_user_id(principal.user):
            return _TICKET
        if self.draining:
            return _DRAINING
        if trace is not None:
            trace.note("ticket accepted")
        decision: ConnectAnswer | None = None
        generation = 0
        if tenant.backend is not None and "connect" in tenant.backend.asks:
            given = await _generation(tenant)
            if given is None:
                return _CUT_OFF
            sid, generation = applicant.sid or os.urandom(8).hex(), given
            applicant = structs.replace(applicant, sid=sid)
            candidate = Candidate(
                principal,
                sid,
                generation,
                applicant.remote_address,
                applicant.origin,
                applicant.user_agent,
                None if trace is None else trace.ref,
            )
            self._judging[tenant.id] += 1
            try:
                decided = await decide_connect(tenant, candidate)
            finally:
                self._judging[tenant.id] -= 1
            if isinstance(decided, Refusal):
                return decided
            decision = decided
            if self.draining:
                return _DRAINING
        return await self._open(tenant, applicant, principal, trace, generation, decision)

    @staticmethod
    async def _authenticate(tenant: TenantContext, applicant: Applicant) -> Principal | TicketRefusal:
        if applicant.ticket is None:
            return TicketRefusal.REFUSED
        ticket = TicketRequest(
            tenant.id,
            applicant.ticket,
            applicant.remote_address,
            origin=applicant.origin,
            user_agent=applicant.user_agent,
        )
        return await tenant.authenticator.authenticate(ticket)

    async def _open(
        self,
        tenant: TenantContext,
        applicant: Applicant,
        principal: Principal,
        trace: ConnectionTrace | None,
        generation: int,
        decision: ConnectAnswer | None,
    ) -> Admitted | Refusal:
        subprotocol = negotiate(applicant.subprotocols, allow_msgpack=tenant.rules.allow_msgpack)
        codec = MSGPACK if subprotocol == SUBPROTOCOL_MSGPACK else JSON
        question = OpenSession(
            principal,
            applicant.sid,
            wire_format(codec, deflated=applicant.deflate),
            trace.ref.trace_id if trace is not None else new_trace_id(applicant.traceparent),
            applicant.remote_address,
            origin=applicant.origin,
            user_agent=applicant.user_agent,
            trace=trace,
            echo=applicant.echo,
            generation=generation,
            decision=decision,
        )
        try:
            answer: SessionOpened | Denied = await tenant.ref.ask(question, _ASK_TIMEOUT_S)
        except (AskTimeoutError, MailboxFullError, ActorStoppedError):
            return _OVERLOADED
        if isinstance(answer, Denied):
            if answer.reason is Reason.BROKER_AWAY:
                return _CUT_OFF
            if answer.reason is Reason.REVOKED:
                return replace(_TICKET, reason=answer.reason.value)
            headers = {"Retry-After": str(_TENANT_FULL_RETRY_AFTER_S)}
            return Refusal(503, answer.code, "tenant is full", answer.reason.value, headers, close=CloseCode.TRY_LATER)
        if self.draining or tenant.removed:
            answer.session.connection.stop()
            return _DRAINING if self.draining else _UNKNOWN_TENANT
        return Admitted(answer.session, tenant, subprotocol, applicant.deflate)


async def _generation(tenant: TenantContext) -> int | None:
    """The number of the session that may be opened; None: the nodes that count them cannot be reached."""
    if tenant.shared is None:
        return tenant.next_generation()
    given = await answer_of(tenant.shared.next_generation, _ASK_TIMEOUT_S)
    return given if isinstance(given, int) else None
