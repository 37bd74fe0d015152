"""From a request with an API key to its live WebSocket on the internal listener: the last checks, then the takeover.

Who calls, and for which tenant, the internal API has found out already. What the socket is for, a ``Purpose`` says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aiohttp import web

from actors import ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.handshake import HandshakeFault, parse_upgrade
from wsprism.protocol.websocket import FrameDecoder
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.messages import CloseConnection, Draining
from wsprism.realtime.rules import TenantContext
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.refusals import response_of
from wsprism.transport.websocket.link import Link
from wsprism.transport.websocket.takeover import take_over

__all__ = ["KeyedSockets", "Purpose"]

_log = logging.getLogger("wsprism.api")

_ASK_TIMEOUT_S: Final = 5.0
_KEY_REFUSED: Final = CloseConnection(CloseCode.TICKET, "this key is good no more")
_GOODBYE: Final = CloseConnection(CloseCode.GOING_AWAY, "draining")

_DRAINING: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "draining", "draining", {"Retry-After": "1"})
_OVERLOADED: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "overloaded", "overloaded", {"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a socket is for. ``question`` is what the tenant is asked, given the subprotocol that was agreed on.

    An answer that is a member of an ``Enum`` is a no, which ``refusals`` have the words for.
    """

    tenant: TenantContext
    subprotocols: tuple[str, ...]
    question: Callable[[str], object]
    refusals: Mapping[Any, Refusal]
    max_message_bytes: int


class KeyedSockets:
    """``links`` are the live sockets, each with the question whether the key that it came with is still good."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.links: dict[Link, Callable[[], bool]] = {}
        self.draining = False
        self._loop = loop
        self._gone: asyncio.Future[None] | None = None

    async def handle(
        self, request: web.BaseRequest, purpose: Purpose, may_go_on: Callable[[], bool]
    ) -> web.StreamResponse:
        """The whole handshake. Never raises for anything that a caller did."""
        outcome = await self._admit(request, purpose)
        if isinstance(outcome, Refusal):
            _log.info("a socket was refused", extra={"tenant": purpose.tenant.id, "reason": outcome.msg})
            if request.transport is not None and not request.transport.is_closing():
                request.transport.resume_reading()
            return response_of(outcome)
        link, head = outcome
        self.links[link] = may_go_on
        try:
            return await take_over(request, link, head)
        except BaseException as error:
            link.session.connection.stop()
            self._lost(link)
            if isinstance(error, ConnectionResetError):
                return web.Response(status=400)
            raise

    async def _admit(self, request: web.BaseRequest, purpose: Purpose) -> tuple[Link, bytes] | Refusal:
        if self.draining:
            return _DRAINING
        upgrade = parse_upgrade(request.method, request.headers)
        if isinstance(upgrade, HandshakeFault):
            return Refusal(upgrade.status, upgrade.code, upgrade.msg, "bad_handshake", upgrade.headers)
        name = next((one for one in upgrade.offered if one in purpose.subprotocols), None)
        if name is None:
            wanted = " or ".join(purpose.subprotocols)
            return Refusal(400, ErrorCode.BAD_REQUEST, f"Sec-WebSocket-Protocol must offer {wanted}", "bad_handshake")
        try:
            answer: KeyedSession | Enum = await purpose.tenant.ref.ask(purpose.question(name), _ASK_TIMEOUT_S)
        except (AskTimeoutError, MailboxFullError, ActorStoppedError):
            return _OVERLOADED
        if isinstance(answer, Enum):
            return purpose.refusals[answer]
        if self.draining:
            answer.connection.stop()
            return _DRAINING
        link = Link(answer, FrameDecoder(purpose.max_message_bytes), self._loop, self._lost)
        return link, _response_head({"Sec-WebSocket-Accept": upgrade.accept_key, "Sec-WebSocket-Protocol": name})

    def recheck(self) -> None:
        """The configuration of keys has changed: close those whose key may not have them any more."""
        for link, may_go_on in self.links.items():
            if not may_go_on():
                link.session.connection.tell_control(_KEY_REFUSED)

    def begin_drain(self, reconnect_after_ms: int) -> None:
        """Take nobody new, and tell all when to come back. They go on until ``close``."""
        self.draining = True
        for link in self.links:
            link.session.connection.tell_control(Draining(reconnect_after_ms))

    async def close(self, timeout_s: float) -> None:
        """Close all of them 1001, and wait until their sockets are gone."""
        self.draining = True
        for link in self.links:
            link.session.connection.tell_control(_GOODBYE)
        if self.links:
            self._gone = self._loop.create_future()
            await asyncio.wait((self._gone,), timeout=timeout_s)
        for link in list(self.links):
            link.abort()

    def _lost(self, link: Link) -> None:
        self.links.pop(link, None)
        if not self.links and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)


def _response_head(headers: Mapping[str, str]) -> bytes:
    """The 101 of RFC 6455 §4.2.2."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
