"""A listener: routes a request by its path to a handler, and keeps aiohttp's log quiet.

A low-level aiohttp server: a handful of fixed paths need no router. The gateway has one for clients and, when
``gateway.internal.listen`` is set, one for operators and backends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from wsprism.errors import OperatorError
from wsprism.protocol.codes import ErrorCode
from wsprism.settings import ListenAddress
from wsprism.transport.upgrade import Refusal

__all__ = ["Handler", "HttpServer"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEPALIVE_TIMEOUT_S = 10.0
"""How long a socket may be silent, or half-way through a request, before it has upgraded."""

_BACKLOG = 4096
_NOT_FOUND = Refusal(404, ErrorCode.BAD_REQUEST, "not found", "not_found")


async def _not_found(_: web.BaseRequest) -> web.StreamResponse:
    return _NOT_FOUND.response()


class _ClientFaults(logging.Filter):
    """A client that speaks no HTTP is not our error: aiohttp's tracebacks for it become one line at debug level."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = None
            record.exc_text = None
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return logging.getLogger("wsprism").isEnabledFor(logging.DEBUG)
        return True


_log = logging.getLogger("wsprism.http")
_log.addFilter(_ClientFaults())


class HttpServer:
    """Serves ``routes`` (path to handler) on one address; every other path is ``otherwise``'s, or 404."""

    def __init__(
        self, routes: Mapping[str, Handler], *, max_header_bytes: int, otherwise: Handler | None = None
    ) -> None:
        self._routes = routes
        self._otherwise = otherwise or _not_found
        self._http = web.Server(
            self._dispatch,
            access_log=None,
            logger=_log,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            lingering_time=0.5,
            auto_decompress=False,
            max_line_size=max_header_bytes,
            max_field_size=max_header_bytes,
        )
        self._runner = web.ServerRunner(self._http, handle_signals=False, shutdown_timeout=1.0)
        self._site: web.BaseSite | None = None
        self._listen: ListenAddress

    async def start(self, address: ListenAddress) -> None:
        """Listen. Raises OperatorError when the address cannot be had."""
        self._listen = address
        await self._runner.setup()
        try:
            if address.path is not None:
                self._site = web.UnixSite(self._runner, address.path, backlog=_BACKLOG)
            else:
                self._site = web.TCPSite(self._runner, address.host, address.port, backlog=_BACKLOG)
            await self._site.start()
        except OSError as exc:
            self._site = None
            await self._runner.cleanup()
            raise OperatorError(f"cannot listen on {address}: {exc.strerror or exc}") from exc

    @property
    def address(self) -> ListenAddress:
        """Where it listens since its start, with the port that it got."""
        for bound in self._runner.addresses:
            if isinstance(bound, tuple):
                return replace(self._listen, port=int(bound[1]))
        return self._listen

    @property
    def connections(self) -> int:
        """Sockets that aiohttp holds."""
        return len(self._http.connections)

    async def stop_accepting(self) -> None:
        """Close the listening socket; what is connected stays."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def stop(self) -> None:
        """Close everything that is still HTTP."""
        await self._runner.cleanup()

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = self._routes.get(request.path, self._otherwise)
        try:
            return await handler(request)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("a request could not be answered", extra={"path": request.path})
            return Refusal(500, ErrorCode.INTERNAL, "internal error", "internal").response()
