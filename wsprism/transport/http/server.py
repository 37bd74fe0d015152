"""A listener: routes a request by its path to a handler; what is no request it refuses.

A low-level aiohttp server: a handful of fixed paths need no router. The gateway has one for clients and, when
``gateway.internal.listen`` is set, one for operators and backends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from actors import LoopScheduler
from wsprism.errors import OperatorError
from wsprism.policy.proxies import UNIX_PEER
from wsprism.protocol.codes import ErrorCode
from wsprism.settings import ListenAddress
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.http.acceptor import Acceptor
from wsprism.transport.http.gate import Gate, HalfOpen, HttpLimits
from wsprism.transport.http.refusals import SERVER, Refusals, response_of
from wsprism.transport.http.sockets import BACKLOG, free_unix_path, reset, taken_by_peer, tune
from wsprism.transport.http.tls import Certificate

__all__ = ["Handler", "HttpServer", "only_get"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEPALIVE_TIMEOUT_S = 30.0
"""From the answer to a request to the end of the next one's head, where a socket is good for several."""

ANSWER_TIMEOUT_S = 10.0
"""So long a client may take nothing of its answer; then its socket is reset."""

SHUTDOWN_TIMEOUT_S = 1.0
_BAD_HTTP = Refusal(400, ErrorCode.BAD_REQUEST, "not a request in HTTP/1.1", "not_http")
_BAD_BODY = Refusal(400, ErrorCode.BAD_REQUEST, "the body did not come whole", "bad_body")
_EXPECTATION = Refusal(417, ErrorCode.BAD_REQUEST, "only 100-continue can be expected", "expectation")
_NOT_FOUND = Refusal(404, ErrorCode.BAD_REQUEST, "not found", "not_found")


_NOT_GET = Refusal(405, ErrorCode.BAD_REQUEST, "method not allowed", "method", {"Allow": "GET, HEAD"})


def only_get(handler: Handler) -> Handler:
    """``handler`` for GET and HEAD; 405 for every other method."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await handler(request) if request.method in ("GET", "HEAD") else response_of(_NOT_GET)

    return handle


async def _not_found(_: web.BaseRequest) -> web.StreamResponse:
    return response_of(_NOT_FOUND)


_log = logging.getLogger("wsprism.http")


class _HttpConnection(web.RequestHandler):
    """aiohttp's part of a socket, which answers a request that is no HTTP as any other refusal, without a traceback.

    A client that takes nothing of an answer does not keep it waiting for ever.
    """

    __slots__ = ("_answer_timeout_s", "_loop_", "_raw", "_refusals", "_taken", "_waiting")

    def __init__(
        self,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        refusals: Refusals,
        answer_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._refusals = refusals
        self._answer_timeout_s = answer_timeout_s
        self._loop_ = loop
        self._raw: asyncio.Transport | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._taken: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._raw = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._waiting is not None:
            self._waiting.cancel()
        self._raw = self._waiting = None

    def answering(self) -> None:
        """Look from now on whether the client takes its answer."""
        if self._waiting is None and self._raw is not None:
            self._taken = None
            self._waiting = self._loop_.call_later(self._answer_timeout_s, self._look)

    def _look(self) -> None:
        self._waiting = None
        transport = self._raw
        if transport is None:
            return
        waiting_bytes = transport.get_write_buffer_size()
        taken = waiting_bytes, taken_by_peer(transport)
        if waiting_bytes == 0 and not transport.is_closing():
            return
        if taken == self._taken:
            reset(transport)
            return
        self._taken = taken
        self._waiting = self._loop_.call_later(self._answer_timeout_s, self._look)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        self._refusals.note(_BAD_HTTP.reason, request.remote or UNIX_PEER)
        response = response_of(_BAD_HTTP)
        response.force_close()
        return response


class HttpServer:
    """Serves ``routes`` (path to handler) on one address; every other path is ``otherwise``'s, or 404.

    Without ``keep_alive`` a socket is good for one request, so that the gate bounds every one of them. On
    descriptors from ``first_reserved`` on it upgrades nobody.
    """

    def __init__(
        self,
        routes: Mapping[str, Handler],
        limits: HttpLimits,
        refusals: Refusals,
        *,
        otherwise: Handler | None = None,
        keep_alive: bool = False,
        certificate: Certificate | None = None,
        first_reserved: int = sys.maxsize,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._routes = routes
        self._otherwise = otherwise or _not_found
        self._keep_alive = keep_alive
        self._half_open = HalfOpen(limits, refusals, LoopScheduler(loop), first_reserved)
        self._certificate = certificate
        self._http = web.Server(self._dispatch)
        self._connection = partial(
            _HttpConnection,
            self._http,
            loop,
            refusals,
            ANSWER_TIMEOUT_S / 2,
            access_log=None,
            logger=_log,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S if keep_alive else 0,
            tcp_keepalive=False,
            lingering_time=0.5,
            auto_decompress=False,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
        )
        self._server: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._listen: ListenAddress
        self._unix_inode: int | None = None

    async def start(self, address: ListenAddress, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen. ``sockets`` are bound to ``address`` already, by somebody who frees them.

        Raises OperatorError when the address cannot be had.
        """
        self._listen = address
        if sockets is not None:
            self._accept_from(sockets)
            return
        try:
            if address.path is not None:
                free_unix_path(address.path)
                server = await self._loop.create_unix_server(
                    self._gate, address.path, backlog=BACKLOG, start_serving=False
                )
            else:
                server = await self._loop.create_server(
                    self._gate, address.host, address.port, backlog=BACKLOG, start_serving=False
                )
        except OSError as exc:
            raise OperatorError(f"cannot listen on {address}: {_reason(exc)}") from exc
        for sock in server.sockets:
            tune(sock)
        if address.path is None:
            self._listen = replace(address, port=server.sockets[0].getsockname()[1])
        else:
            self._unix_inode = os.stat(address.path).st_ino
        self._server = server
        self._accept_from(server.sockets)

    def listen_on(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from these of the ``sockets`` that it was started with, and no more from others."""
        assert self._acceptor is not None
        for sock in sockets:
            tune(sock)
        self._acceptor.listen_on(sockets)

    def _accept_from(self, sockets: Sequence[socket.socket]) -> None:
        certificate = self._certificate
        context = None if certificate is None else lambda: certificate.context
        self._acceptor = Acceptor(sockets, self._gate, self._half_open, self._loop, context)

    def configure(self, limits: HttpLimits) -> None:
        """Take other limits for the sockets that come; the bytes of a head stay bounded as they were."""
        self._half_open.limits = replace(limits, max_header_bytes=self._half_open.limits.max_header_bytes)

    @property
    def address(self) -> ListenAddress:
        """Where it listens since its start, with the port that it got."""
        return self._listen

    @property
    def connections(self) -> int:
        """Sockets that are half-open, or that aiohttp holds."""
        return len(self._half_open) + len(self._http.connections)

    async def stop_accepting(self) -> None:
        """Close the listening socket; what is connected stays."""
        if self._acceptor is not None:
            self._acceptor.close()
        if self._server is not None:
            self._server.close()
        if self._unix_inode is not None and self._listen.path is not None:
            with contextlib.suppress(OSError):
                if os.stat(self._listen.path).st_ino == self._unix_inode:
                    os.unlink(self._listen.path)
            self._unix_inode = None

    async def stop(self) -> None:
        """Close everything that is still HTTP."""
        await self.stop_accepting()
        self._half_open.close()
        if self._acceptor is not None:
            await self._acceptor.wait_closed()
        self._http.pre_shutdown()
        await self._http.shutdown(SHUTDOWN_TIMEOUT_S)

    def _gate(self) -> Gate:
        return Gate(self._half_open, self._connection, tuned=self._listen.path is None)

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = self._routes.get(request.path, self._otherwise)
        try:
            response = await self._answer_expectation(request) or await handler(request)
        except asyncio.CancelledError:
            raise
        except (web.RequestPayloadError, ConnectionError):
            response = response_of(_BAD_BODY)
        except Exception:
            _log.exception("a request could not be answered", extra={"path": request.path})
            response = response_of(Refusal(500, ErrorCode.INTERNAL, "internal error", "internal"))
        if isinstance(request.protocol, _HttpConnection):
            request.protocol.answering()
        response.headers["Server"] = SERVER
        if not self._keep_alive:
            response.force_close()
        return response

    @staticmethod
    async def _answer_expectation(request: web.BaseRequest) -> web.StreamResponse | None:
        """What a client wants to hear before it sends a body (RFC 9110 §10.1.1); an answer when it cannot be had."""
        expected = request.headers.get("Expect")
        if expected is None or request.version < HttpVersion11:
            return None
        if expected.lower() != "100-continue":
            return response_of(_EXPECTATION)
        if request.body_exists:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return None


def _reason(error: OSError) -> str:
    """The system's words for it; an event loop puts its own around them."""
    code = error.errno or 0
    return os.strerror(code) if code > 0 else error.strerror or str(error)
