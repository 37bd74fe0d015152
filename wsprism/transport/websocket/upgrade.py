"""From an HTTP request to a live connection: every check of the handshake, cheapest first, then the takeover.

Each refusal is one short JSON body, one counted reason and at most one log line a second.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web

from actors import ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.handshake import HandshakeLimiter
from wsprism.policy.proxies import UNIX_PEER, TrustedProxies
from wsprism.policy.users import is_user_id
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.backend import ConnectAnswer
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.deflate import DEFLATE_RESPONSE, accepts_deflate
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.handshake import SUBPROTOCOL_MSGPACK, HandshakeFault, HandshakeRequest, parse_handshake
from wsprism.protocol.traces import ConnectionTrace
from wsprism.protocol.websocket import FrameDecoder
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.messages import OpenSession, SessionOpened
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.sampling import new_trace_id
from wsprism.transport.http.refusals import Refusal, Refusals
from wsprism.transport.websocket.connect_decision import Candidate, decide_connect
from wsprism.transport.websocket.explained import explained, response_head
from wsprism.transport.websocket.link import Link
from wsprism.transport.websocket.takeover import TakenOver, take_over

__all__ = ["Upgrader"]

_ASK_TIMEOUT_S = 5.0
_TENANT_FULL_RETRY_AFTER_S = 5
_TOLD_CHARACTERS = 256
_SHARED_WORDS = 512


_DRAINING = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "draining", "draining", {"Retry-After": "1"})
_UNKNOWN_TENANT = Refusal(
    400, ErrorCode.BAD_REQUEST, "unknown tenant", "unknown_tenant", close=CloseCode.NOT_ALLOWED_HERE
)
_ORIGIN = Refusal(403, ErrorCode.NOT_ALLOWED, "origin not allowed", "origin", close=CloseCode.NOT_ALLOWED_HERE)
_TICKET = Refusal(
    401,
    ErrorCode.AUTH_FAILED,
    "ticket refused",
    "ticket",
    {"WWW-Authenticate": "Bearer"},
    close=CloseCode.TICKET,
)
_REFUSED_TICKETS = {
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
_OVERLOADED = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "overloaded", "overloaded", {"Retry-After": "1"})


class Upgrader:
    """Answers ``GET /v1/ws``. What is public, and the tenants, may change while it runs."""

    def __init__(
        self,
        tenants: Mapping[str, TenantContext],
        limiter: HandshakeLimiter | None,
        counters: GatewayCounters,
        refusals: Refusals,
        *,
        proxies: TrustedProxies,
        compression: bool,
        explain_refusals: str,
        max_judging: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.draining = False
        self.max_judging = max_judging
        """Handshakes whose ticket is being judged; one more is refused, so that a slow backend holds no crowd."""
        self.links: set[Link] = set()
        self._tenants = tenants
        self.limiter = limiter
        self._counters = counters
        self._refusals = refusals
        self.proxies = proxies
        self.compression = compression
        self.explain_refusals = explain_refusals
        self._judging: Counter[str] = Counter()  # by tenant: one's slow backend keeps nobody else's clients out
        self._loop = loop
        self._on_no_links: Callable[[], None] | None = None

    async def handle_echo(self, request: web.BaseRequest) -> web.StreamResponse:
        """The same for a connection that only echoes."""
        return await self.handle(request, echo=True)

    async def handle(self, request: web.BaseRequest, *, echo: bool = False) -> web.StreamResponse:
        """The whole handshake. Never raises for anything that a client did."""
        began_s = time.perf_counter()
        headers = request.headers
        remote = self.proxies.client_address(
            request.remote or UNIX_PEER, headers.getall("Forwarded", ()), headers.getall("X-Forwarded-For", ())
        )
        outcome = await self._admit(request, remote, echo)
        if isinstance(outcome, Refusal):
            self._refusals.note(outcome.reason, remote, outcome.tenant)
            if request.transport is None or request.transport.is_closing():
                return outcome.response()
            request.transport.resume_reading()
            if outcome.close is None or not self._explains(request):
                return outcome.response()
            offered = [one.strip() for one in ",".join(headers.getall("Sec-WebSocket-Protocol", ())).split(",")]
            key = headers["Sec-WebSocket-Key"].strip()
            request.transport.write(explained(outcome, key, [one for one in offered if one], new_trace_id(None)))
            return TakenOver()
        link, head = outcome
        self.links.add(link)
        try:
            response = await take_over(request, link, head)
        except BaseException as error:
            link.session.connection.stop()
            self._lost(link)
            if isinstance(error, ConnectionResetError):
                return web.Response(status=400)
            raise
        self._counters.handshakes_accepted += 1
        self._counters.handshake.record(time.perf_counter() - began_s)
        return response

    def _explains(self, request: web.BaseRequest) -> bool:
        """Whether this client is told behind the upgrade why it is refused: one that cannot read a status is."""
        if self.explain_refusals == "browsers":
            return "Origin" in request.headers or request.query.get("explain") == "1"
        return self.explain_refusals == "always"

    async def wait_until_empty(self) -> None:
        """Return when no connection is left."""
        if self.links:
            empty: asyncio.Future[None] = self._loop.create_future()
            self._on_no_links = lambda: None if empty.done() else empty.set_result(None)
            await empty

    async def _admit(self, request: web.BaseRequest, remote: str, echo: bool) -> tuple[Link, bytes] | Refusal:
        if self.draining:
            return _DRAINING
        if self.limiter is not None:
            denied = self.limiter.check(remote, self._loop.time())
            if denied is not None:
                return Refusal(
                    429,
                    ErrorCode.RATE_LIMITED,
                    "too many handshakes",
                    denied.reason.value,
                    {"Retry-After": str(denied.retry_after_s)},
                )
        handshake = parse_handshake(request.method, request.headers, request.query)
        if isinstance(handshake, HandshakeFault):
            return Refusal(
                handshake.status,
                handshake.code,
                handshake.msg,
                "bad_handshake",
                handshake.headers,
                close=CloseCode.NOT_ALLOWED_HERE if handshake.names_no_tenant else None,
            )
        tenant = self._tenants.get(handshake.tenant)
        if tenant is None:
            return _UNKNOWN_TENANT
        outcome = await self._admit_to(tenant, request, handshake, remote, echo)
        if not isinstance(outcome, Refusal):
            return outcome
        if outcome.status == HTTPStatus.UNAUTHORIZED:
            tenant.counters.decisions.count(Reason.AUTH_FAILED)
        return replace(outcome, tenant=tenant.id)

    async def _admit_to(
        self, tenant: TenantContext, request: web.BaseRequest, handshake: HandshakeRequest, remote: str, echo: bool
    ) -> tuple[Link, bytes] | Refusal:
        origin = request.headers.get("Origin")
        origins = tenant.rules.allowed_origins
        if origins is not None and origin is not None and not origins.allows(origin):
            return _ORIGIN
        trace = tenant.sampler.connection(handshake.traceparent)
        if self._judging[tenant.id] >= self.max_judging:
            return _OVERLOADED
        self._judging[tenant.id] += 1
        try:
            principal = await self._authenticate(request, handshake, tenant, remote)
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
        sid, generation = handshake.sid, 0
        if tenant.backend is not None and "connect" in tenant.backend.asks:
            sid, generation = sid or os.urandom(8).hex(), tenant.next_generation()
            candidate = Candidate(
                principal, sid, generation, remote, _header(request, "Origin"), _header(request, "User-Agent")
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
        return await self._open(request, handshake, tenant, principal, remote, trace, echo, sid, generation, decision)

    @staticmethod
    async def _authenticate(
        request: web.BaseRequest, handshake: HandshakeRequest, tenant: TenantContext, remote: str
    ) -> Principal | TicketRefusal:
        if handshake.ticket is None:
            return TicketRefusal.REFUSED
        ticket = TicketRequest(
            tenant.id,
            handshake.ticket,
            remote,
            origin=_header(request, "Origin"),
            user_agent=_header(request, "User-Agent"),
        )
        return await tenant.authenticator.authenticate(ticket)

    async def _open(
        self,
        request: web.BaseRequest,
        handshake: HandshakeRequest,
        tenant: TenantContext,
        principal: Principal,
        remote: str,
        trace: ConnectionTrace | None,
        echo: bool,
        sid: str | None,
        generation: int,
        decision: ConnectAnswer | None,
    ) -> tuple[Link, bytes] | Refusal:
        subprotocol = handshake.negotiate(tenant.rules.allow_msgpack)
        deflated = self.compression and accepts_deflate(
            ",".join(request.headers.getall("Sec-WebSocket-Extensions", ()))
        )
        codec = MSGPACK if subprotocol == SUBPROTOCOL_MSGPACK else JSON
        question = OpenSession(
            principal,
            sid,
            wire_format(codec, deflated=deflated),
            trace.ref.trace_id if trace is not None else new_trace_id(handshake.traceparent),
            remote,
            origin=_header(request, "Origin"),
            user_agent=_header(request, "User-Agent"),
            trace=trace,
            echo=echo,
            generation=generation,
            decision=decision,
        )
        try:
            answer: SessionOpened | Denied = await tenant.ref.ask(question, _ASK_TIMEOUT_S)
        except (AskTimeoutError, MailboxFullError, ActorStoppedError):
            return _OVERLOADED
        if isinstance(answer, Denied):
            if answer.reason is Reason.REVOKED:
                return replace(_TICKET, reason=answer.reason.value)
            headers = {"Retry-After": str(_TENANT_FULL_RETRY_AFTER_S)}
            return Refusal(503, answer.code, "tenant is full", answer.reason.value, headers, close=CloseCode.TRY_LATER)
        if self.draining or tenant.removed:
            answer.session.connection.stop()
            return _DRAINING if self.draining else _UNKNOWN_TENANT
        decoder = FrameDecoder(tenant.rules.limits.max_frame_bytes, deflate=deflated)
        link = Link(answer.session, decoder, self._loop, self._lost)
        head = response_head(handshake.accept_key, subprotocol, DEFLATE_RESPONSE if deflated else None)
        return link, head

    def _lost(self, link: Link) -> None:
        self.links.discard(link)
        if not self.links and self._on_no_links is not None:
            self._on_no_links()


def _header(request: web.BaseRequest, name: str) -> str | None:
    """What a ticket is judged by besides itself. A connection keeps it: it is cut, text, and shared by equal ones."""
    value = request.headers.get(name)
    return value if value is None else _shared(value[:_TOLD_CHARACTERS].encode("utf-8", "replace").decode())


@lru_cache(_SHARED_WORDS)
def _shared(word: str) -> str:
    """The same object for equal words while they are in use; strangers choose them, so that few are kept."""
    return word
