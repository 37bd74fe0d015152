"""From an HTTP request to a live connection: what is read of the request, how it is answered, and the takeover.

Who may come in is the ``Admission``'s business. Each refusal is one short JSON body, one counted reason and at most one
log line a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from wsprism.policy.proxies import UNIX_PEER, TrustedProxies
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.deflate import DEFLATE_RESPONSE, accepts_deflate
from wsprism.protocol.handshake import HandshakeFault, parse_handshake
from wsprism.protocol.websocket import FrameDecoder
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.sampling import new_trace_id
from wsprism.transport.admission.admission import Admission
from wsprism.transport.admission.applicant import Applicant
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.refusals import Refusals, response_of
from wsprism.transport.websocket.explained import explained, response_head
from wsprism.transport.websocket.farewell import Farewells
from wsprism.transport.websocket.link import Link
from wsprism.transport.websocket.takeover import TakenOver, can_detach, hand_over, take_over

__all__ = ["Upgrader"]


class Upgrader:
    """Answers ``GET /v1/ws``. What is public may change while it runs."""

    def __init__(
        self,
        admission: Admission,
        counters: GatewayCounters,
        refusals: Refusals,
        *,
        proxies: TrustedProxies,
        compression: bool,
        explain_refusals: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.links: set[Link] = set()
        self.farewells = Farewells(loop)
        self.proxies = proxies
        self.compression = compression
        self.explain_refusals = explain_refusals
        self._admission = admission
        self._counters = counters
        self._refusals = refusals
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
            return self._refuse(request, outcome)
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

    async def wait_until_empty(self) -> None:
        """Return when no connection is left."""
        if self.links:
            empty: asyncio.Future[None] = self._loop.create_future()
            self._on_no_links = lambda: None if empty.done() else empty.set_result(None)
            await empty

    async def _admit(self, request: web.BaseRequest, remote: str, echo: bool) -> tuple[Link, bytes] | Refusal:
        refusal = self._admission.may_knock(remote)
        if refusal is not None:
            return refusal
        headers = request.headers
        handshake = parse_handshake(request.method, headers, request.query)
        if isinstance(handshake, HandshakeFault):
            close = CloseCode.NOT_ALLOWED_HERE if handshake.names_no_tenant else None
            return Refusal(
                handshake.status, handshake.code, handshake.msg, "bad_handshake", handshake.headers, close=close
            )
        deflate = self.compression and accepts_deflate(",".join(headers.getall("Sec-WebSocket-Extensions", ())))
        admitted = await self._admission.admit(
            Applicant(
                handshake.tenant,
                handshake.ticket,
                remote,
                handshake.sid,
                handshake.subprotocols,
                deflate,
                headers.get("Origin"),
                headers.get("User-Agent"),
                handshake.traceparent,
                echo,
            )
        )
        if isinstance(admitted, Refusal):
            return admitted
        decoder = FrameDecoder(admitted.tenant.rules.limits.max_frame_bytes, deflate=admitted.deflated)
        link = Link(admitted.session, decoder, self._loop, self._lost)
        extensions = DEFLATE_RESPONSE if admitted.deflated else None
        return link, response_head(handshake.accept_key, admitted.subprotocol, extensions)

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
        """As HTTP, or behind the upgrade for a client that cannot read a status."""
        if request.transport is None or request.transport.is_closing():
            return response_of(refusal)
        request.transport.resume_reading()
        if refusal.close is None or not self._explains(request):
            return response_of(refusal)
        headers = request.headers
        offered = [one.strip() for one in ",".join(headers.getall("Sec-WebSocket-Protocol", ())).split(",")]
        key = headers["Sec-WebSocket-Key"].strip()
        request.transport.write(explained(refusal, key, [one for one in offered if one], new_trace_id(None)))
        if can_detach(request.protocol, request.transport):
            hand_over(request.protocol, request.transport, self.farewells.begin(request.transport))
        return TakenOver()

    def _explains(self, request: web.BaseRequest) -> bool:
        """Whether this client is told behind the upgrade why it is refused: one that cannot read a status is."""
        if self.explain_refusals == "browsers":
            return "Origin" in request.headers or request.query.get("explain") == "1"
        return self.explain_refusals == "always"

    def _lost(self, link: Link) -> None:
        self.links.discard(link)
        if not self.links and self._on_no_links is not None:
            self._on_no_links()
