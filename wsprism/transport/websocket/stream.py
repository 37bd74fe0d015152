"""From a backend's request on the internal listener to its live stream: the last checks, then the takeover.

Who calls, and for which tenant, the internal API has found out already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from actors import ActorStoppedError, AskTimeoutError, MailboxFullError
from wsprism.policy.proxies import UNIX_PEER
from wsprism.ports import StreamCalls
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.handshake import HandshakeFault, parse_upgrade
from wsprism.protocol.stream import STREAM_SUBPROTOCOL_JSON, STREAM_SUBPROTOCOL_MSGPACK, StreamCodec
from wsprism.protocol.websocket import FrameDecoder
from wsprism.realtime.messages import CloseConnection, Draining
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.stream.messages import NoStream, OpenStream
from wsprism.realtime.stream.session import StreamSession
from wsprism.transport.http.refusals import Refusal
from wsprism.transport.websocket.link import Link
from wsprism.transport.websocket.takeover import take_over

__all__ = ["MAX_MESSAGE_BYTES", "StreamUpgrader"]

_log = logging.getLogger("wsprism.backend")

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Of one message of a backend, as of a body of the internal API; more where the tenant's messages may be larger."""

_ASK_TIMEOUT_S: Final = 5.0
_NAMES: Final = (STREAM_SUBPROTOCOL_JSON, STREAM_SUBPROTOCOL_MSGPACK)
_KEY_REFUSED: Final = CloseConnection(CloseCode.TICKET, "this key is good no more")
_GOODBYE: Final = CloseConnection(CloseCode.GOING_AWAY, "draining")

_DRAINING: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "draining", "draining", {"Retry-After": "1"})
_OVERLOADED: Final = Refusal(503, ErrorCode.RESOURCE_EXHAUSTED, "overloaded", "overloaded", {"Retry-After": "1"})
_NO_SUBPROTOCOL: Final = Refusal(
    400, ErrorCode.BAD_REQUEST, f"Sec-WebSocket-Protocol must offer {' or '.join(_NAMES)}", "bad_handshake"
)
_REFUSED: Final = {
    NoStream.NOT_WANTED: Refusal(
        409, ErrorCode.NOT_ALLOWED, "this tenant takes no stream: backend.stream is not true", "no_stream"
    ),
    NoStream.TOO_MANY: Refusal(
        503, ErrorCode.RESOURCE_EXHAUSTED, "too many streams of this tenant", "overloaded", {"Retry-After": "5"}
    ),
}


class StreamUpgrader:
    """Answers ``GET /v1/tenants/{tenant}/stream``. ``links`` are the live sockets, each with the question whether
    the key that it came with is still good."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.links: dict[Link, Callable[[], bool]] = {}
        self.draining = False
        self._loop = loop
        self._gone: asyncio.Future[None] | None = None

    async def handle(
        self,
        request: web.BaseRequest,
        tenant: TenantContext,
        key_name: str,
        calls: StreamCalls,
        may_go_on: Callable[[], bool],
    ) -> web.StreamResponse:
        """The whole handshake. Never raises for anything that a caller did."""
        outcome = await self._admit(request, tenant, key_name, calls)
        if isinstance(outcome, Refusal):
            _log.info("a backend's stream was refused", extra={"tenant": tenant.id, "reason": outcome.msg})
            if request.transport is not None and not request.transport.is_closing():
                request.transport.resume_reading()
            return outcome.response()
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

    async def _admit(
        self, request: web.BaseRequest, tenant: TenantContext, key_name: str, calls: StreamCalls
    ) -> tuple[Link, bytes] | Refusal:
        if self.draining:
            return _DRAINING
        upgrade = parse_upgrade(request.method, request.headers)
        if isinstance(upgrade, HandshakeFault):
            return Refusal(upgrade.status, upgrade.code, upgrade.msg, "bad_handshake", upgrade.headers)
        name = next((one for one in upgrade.offered if one in _NAMES), None)
        if name is None:
            return _NO_SUBPROTOCOL
        codec = StreamCodec(msgpack=name == STREAM_SUBPROTOCOL_MSGPACK)
        question = OpenStream(codec, calls, key_name, request.remote or UNIX_PEER)
        try:
            answer: StreamSession | NoStream = await tenant.ref.ask(question, _ASK_TIMEOUT_S)
        except (AskTimeoutError, MailboxFullError, ActorStoppedError):
            return _OVERLOADED
        if isinstance(answer, NoStream):
            return _REFUSED[answer]
        if self.draining:
            answer.connection.stop()
            return _DRAINING
        most = max(MAX_MESSAGE_BYTES, 2 * tenant.rules.limits.max_backend_bytes)
        link = Link(answer, FrameDecoder(most), self._loop, self._lost)
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
