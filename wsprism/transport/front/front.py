"""Serves the internal listener for several workers, each of which has its own behind a Unix socket.

``/metrics`` is every worker's, ``/readyz`` good while one is ready; a call of the API goes to one of them, or to all
where it concerns each. It knows no keys: the worker that is asked judges them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any, Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from wsprism.protocol.codes import ErrorCode
from wsprism.settings import ListenAddress
from wsprism.transport.front.exposition import merge, of_workers
from wsprism.transport.front.merging import MERGED
from wsprism.transport.front.seen import WorkerSeen, WorkersSeen
from wsprism.transport.front.splice import Side, splice
from wsprism.transport.http.gate import HttpLimits
from wsprism.transport.http.refusals import Refusals
from wsprism.transport.http.server import HttpServer, only_get
from wsprism.transport.websocket.takeover import TakenOver, release

__all__ = ["Front"]

_ANSWER_TIMEOUT_S: Final = 120.0
_METRICS_TIMEOUT_S: Final = 5.0
_CONNECT_TIMEOUT_S: Final = 2.0

_OF_ONE_HOP: Final = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-connection")
)
_FOR_EACH: Final = {("PUT", "/v1/log-level")}
_EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


_Place = tuple[str, str]
"""A path that is asked for, and the worker's own listener."""


class _Gone(Exception):
    """The worker did not answer; ``reached``: it may have done what was asked."""

    def __init__(self, *, reached: bool) -> None:
        super().__init__(reached)
        self.reached = reached


class Front:
    """``start`` it on the internal listener's address, ``stop`` it last."""

    def __init__(self, seen: WorkersSeen, limits: HttpLimits, refusals: Refusals) -> None:
        self._seen = seen
        routes = {"/healthz": only_get(self._healthz), "/readyz": only_get(self._readyz)}
        routes["/metrics"] = only_get(self._metrics)
        self._server = HttpServer(routes, limits, refusals, keep_alive=True, otherwise=self._call)
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._sockets: Counter[_Place] = Counter()
        self._turn = count()

    async def start(self, address: ListenAddress) -> None:
        """Raises OperatorError when the address cannot be had."""
        await self._server.start(address)

    @property
    def address(self) -> ListenAddress:
        """Where it listens, with the port that it got."""
        return self._server.address

    async def stop(self) -> None:
        """Idempotent."""
        await self._server.stop()
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    # What is asked of all

    async def _healthz(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.BaseRequest) -> web.StreamResponse:
        if self._seen.draining:
            return web.json_response({"status": "draining"}, status=503)
        states = [one.unready for one in self._seen.workers()]
        if None in states:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": next((one for one in states if one != "not there"), states[0])}, status=503)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        workers = self._there()
        found = await asyncio.gather(*(self._text(one, request.path) for one in workers))
        texts = {one.number: text for one, text in zip(workers, found, strict=True) if text is not None}
        body = of_workers(self._seen.workers()) + merge(texts)
        return web.Response(body=body.encode(), headers={"Content-Type": _EXPOSITION})

    async def _text(self, worker: WorkerSeen, path: str) -> str | None:
        try:
            async with asyncio.timeout(_METRICS_TIMEOUT_S), self._session(worker).get(f"http://worker{path}") as answer:
                return await answer.text() if answer.status == 200 else None
        except (OSError, aiohttp.ClientError, TimeoutError):
            return None

    # Calls

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        workers = self._in_turn()
        if not workers:
            return _problem("no worker is there")
        if "Upgrade" in request.headers and request.transport is not None:
            return await self._splice(request, workers)
        if (request.method, request.path) in _FOR_EACH or (request.method == "GET" and request.path in MERGED):
            return await self._ask_each(request, workers)
        for worker in workers:
            try:
                return await self._ask(worker, request, _body_of(request))
            except _Gone as gone:
                if gone.reached and request.method not in ("GET", "HEAD"):
                    return _problem("the worker went away: it may have been done")
        return _problem("no worker answers")

    async def _ask_each(self, request: web.BaseRequest, workers: list[WorkerSeen]) -> web.StreamResponse:
        body = await request.read()
        answers = await asyncio.gather(*(self._ask(one, request, body) for one in workers), return_exceptions=True)
        found = [one for one in answers if isinstance(one, web.Response)]
        if not found:
            return _problem("no worker answers")
        refused = next((one for one in found if one.status != 200), None)
        put_together = MERGED.get(request.path)
        if refused is not None or put_together is None or request.method != "GET":
            return refused or found[0]
        told = put_together([json.loads(bytes(one.body)) for one in found if isinstance(one.body, bytes)])
        return web.json_response(told, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})

    async def _ask(self, worker: WorkerSeen, request: web.BaseRequest, body: Any) -> web.Response:
        """Raises _Gone."""
        url = URL("http://worker", encoded=True).join(URL(request.rel_url.raw_path_qs, encoded=True))
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                async with self._session(worker).request(
                    request.method, url, headers=_passed_on(request.headers), data=body, allow_redirects=False
                ) as answer:
                    read = await answer.read()
                    return web.Response(
                        status=answer.status, body=read, headers=_passed_on(answer.headers, sized=False)
                    )
        except aiohttp.ClientConnectorError:
            raise _Gone(reached=False) from None
        except (OSError, aiohttp.ClientError, TimeoutError):
            raise _Gone(reached=True) from None

    async def _splice(self, request: web.BaseRequest, workers: list[WorkerSeen]) -> web.StreamResponse:
        """A WebSocket: the socket is the worker's from here on.

        It goes where there are the fewest of its path: a tenant's streams to all workers, however many tails there are.
        It counts before it is there, since others come meanwhile.
        """
        loop = asyncio.get_running_loop()
        inner = Side()

        def places_taken(one: WorkerSeen) -> tuple[bool, int]:
            return one.unready is not None, self._sockets[request.path, str(one.internal)]

        tried: list[WorkerSeen] = []
        while left := [one for one in workers if one not in tried]:
            worker = min(left, key=places_taken)
            tried.append(worker)
            outer = _Counted(self._sockets, (request.path, str(worker.internal)))
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await loop.create_unix_connection(lambda: inner, worker.internal)
                break
            except (OSError, TimeoutError):
                outer.uncount()
            except BaseException:
                outer.uncount()
                raise
        if inner.transport is None:
            if request.transport is not None:
                request.transport.resume_reading()
            return _problem("no worker answers")
        transport = request.transport
        if transport is None or transport.is_closing():
            outer.uncount()
            inner.transport.abort()
            return web.Response(status=400)
        rest = release(request, outer)
        outer.connection_made(transport)
        inner.transport.write(_head(request) + rest)
        splice(outer, inner)
        transport.resume_reading()
        return TakenOver()

    def _there(self) -> list[WorkerSeen]:
        return [one for one in self._seen.workers() if one.internal is not None]

    def _in_turn(self) -> list[WorkerSeen]:
        """Those that can be asked, whose turn it is first; those that are not ready come last."""
        there = self._there()
        if not there:
            return []
        first = next(self._turn) % len(there)
        return sorted([*there[first:], *there[:first]], key=lambda one: one.unready is not None)

    def _session(self, worker: WorkerSeen) -> aiohttp.ClientSession:
        """To a worker's own listener; those of workers that are no more are let go."""
        path = str(worker.internal)
        if path not in self._sessions:
            there = {one.internal for one in self._seen.workers()}
            for old in [one for one in self._sessions if one not in there]:
                task = asyncio.ensure_future(self._sessions.pop(old).close())
                task.add_done_callback(lambda _: None)
            self._sessions[path] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._sessions[path]


class _Counted(Side):
    """The side of whoever has asked, counted from now on while it is there."""

    def __init__(self, counts: Counter[_Place], place: _Place) -> None:
        super().__init__()
        self._counts = counts
        self._place = place
        counts[place] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone:
            self.uncount()
        super().connection_lost(exc)

    def uncount(self) -> None:
        """Once, instead of its end where it never begins."""
        self._counts[self._place] -= 1
        if not self._counts[self._place]:
            del self._counts[self._place]


def _body_of(request: web.BaseRequest) -> AsyncIterator[bytes] | None:
    return request.content.iter_any() if request.body_exists else None


def _passed_on(headers: Mapping[str, str], *, sized: bool = True) -> CIMultiDict[str]:
    """Without those that are about the connection; without the length where it is made anew."""
    left_out = _OF_ONE_HOP if sized else _OF_ONE_HOP | {"content-length", "server", "date"}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in left_out)


def _head(request: web.BaseRequest) -> bytes:
    lines = [f"{request.method} {request.rel_url.raw_path_qs} HTTP/1.1".encode("latin-1")]
    return b"\r\n".join([*lines, *(b": ".join(one) for one in request.raw_headers), b"", b""])


def _problem(detail: str) -> web.Response:
    told = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": detail,
        "code": ErrorCode.RESOURCE_EXHAUSTED.value,
    }
    return web.Response(
        status=503,
        body=json.dumps(told).encode(),
        content_type="application/problem+json",
        headers={"Retry-After": "1", "Cache-Control": "no-store"},
    )
