"""The internal API as one handler: key, route, scope, query and body are checked in this order, then the call is made.

Whatever a caller does wrong is answered with a ``Problem``. An audited call that is made is a log line at info, any
other at debug, with the key's name.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from actors import Scheduler
from wsprism.policy.log_limit import LimitedLog
from wsprism.ports import StateStore
from wsprism.protocol.handshake import shown_key
from wsprism.transport.api.calls import Call, GatewayControl
from wsprism.transport.api.idempotency import Idempotency
from wsprism.transport.api.keys import ApiKey, ApiKeys
from wsprism.transport.api.openapi import document_json
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.rates import RateMeter
from wsprism.transport.api.remembered import LIFETIME_S, Answered
from wsprism.transport.api.requests import MAX_BODY_BYTES, check_body, read_body, read_idempotency_key, read_query
from wsprism.transport.api.routes import NoRoute, Operation, find_route, name_fault, split_path
from wsprism.transport.api.sockets import stream_of, tail_of
from wsprism.transport.api.stream_calls import KeyCalls
from wsprism.transport.api.trends import Trends
from wsprism.transport.websocket.keyed import KeyedSockets

__all__ = ["Api"]

_log = logging.getLogger("wsprism.api")

_NOT_FOUND: Final = Problem(404, "there is nothing here")
_NO_TENANT: Final = Problem(404, "no such tenant")
_NO_KEY: Final = Problem(
    401, "a good key is wanted: Authorization: Bearer <key>", headers={"WWW-Authenticate": "Bearer"}
)
_SCOPED: Final = Problem(403, "this key is scoped to tenants")
_READ_ONLY: Final = Problem(403, "this key is read-only: it may call GET")
_READ_ONLY_STREAM: Final = Problem(403, "this key is read-only: it may not open a stream")
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_FAILED: Final = Problem(500, "internal error")


class Api:
    """Handles everything below ``/v1/``, and ``/openapi.json``. ``start`` and ``stop`` it with its listener."""

    def __init__(self, gateway: GatewayControl, scheduler: Scheduler, sockets: KeyedSockets) -> None:
        self._gateway = gateway
        self._sockets = sockets
        self._rates = RateMeter(scheduler, gateway.tenants)
        self._trends = Trends(scheduler, gateway)
        self._idempotency = Idempotency(scheduler.now)
        self._refusals = LimitedLog(_log, scheduler.now)
        self._configured: object = None
        self._keys = ApiKeys(())

    def keep_in(self, store: StateStore) -> None:
        """Before ``start``: have the answers to calls with a key outlive a restart."""
        self._idempotency.keep_in(store, [tenant.id for tenant in self._gateway.tenants()])

    def start(self) -> None:
        """Begin to watch what moves."""
        self._rates.start()
        self._trends.start()

    def stop(self) -> None:
        """Watch no more; idempotent."""
        self._rates.stop()
        self._trends.stop()
        self._idempotency.stop()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises nothing but CancelledError."""
        try:
            answer = await self._answer(request)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("a call could not be answered", extra={"method": request.method})
            answer = _FAILED
        if isinstance(answer, web.StreamResponse):
            return answer
        response = self._response(request, answer)
        response.headers.update(_HEADERS)
        return response

    @staticmethod
    def _response(request: web.BaseRequest, answer: Answered | Problem) -> web.Response:
        if "Upgrade" in request.headers and request.transport is not None and not request.transport.is_closing():
            request.transport.resume_reading()  # it was to stay quiet until it is known what it becomes
        if isinstance(answer, Problem):
            return answer.response()
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    async def _answer(self, request: web.BaseRequest) -> Answered | Problem | web.StreamResponse:
        parts = split_path(request.rel_url.raw_path)
        if parts == ["openapi.json"]:
            return Answered(200, document_json()) if request.method == "GET" else _not_allowed(("GET",))
        if parts is None or parts[:1] != ["v1"]:
            return _NOT_FOUND
        tail = _room_of_tail(parts)
        key = self._find_key(request, in_subprotocol=tail is not None)
        if key is None:
            self._refusals.log("key", "an API call without a good key", level=logging.WARNING, remote=request.remote)
            return _NO_KEY
        if len(parts) == 4 and parts[1] == "tenants" and parts[3] == "stream":
            return await self._open_stream(request, key, parts[2])
        if isinstance(tail, Problem):
            return tail
        if tail is not None:
            return await self._open_tail(request, key, parts[2], tail)
        route = find_route(request.method, parts)
        if isinstance(route, NoRoute):
            if route.fault:
                return Problem(400, route.fault)
            return _not_allowed(route.allowed) if route.allowed else _NOT_FOUND
        operation = route.operation
        if operation.gateway_wide and key.tenants is not None:
            return _SCOPED
        if not key.may(operation.method):
            return _READ_ONLY
        tenant = None
        if "tenant" in route.path:
            tenant = self._gateway.tenant(route.path["tenant"]) if key.covers(route.path["tenant"]) else None
            if tenant is None:
                return _NO_TENANT
        query = read_query(request, operation.query)
        if isinstance(query, Problem):
            return query
        call = Call(self._gateway, self._rates, key, route.path, query, one_tenant=tenant, trends=self._trends)
        return await self._run(request, operation, call)

    async def _run(self, request: web.BaseRequest, operation: Operation, call: Call) -> Answered | Problem:
        if operation.body is None:
            return await _carry_out(operation, call)
        most = MAX_BODY_BYTES
        if operation.large:
            most = max(most, 2 * call.tenant.rules.limits.max_backend_bytes)
        raw = await read_body(request, most)
        if isinstance(raw, Problem):
            return raw
        body = check_body(raw, operation.body)
        if isinstance(body, Problem):
            return body
        call = replace(call, body=body)
        once = read_idempotency_key(request) if operation.idempotent else None
        if isinstance(once, Problem):
            return once
        if once is None:
            return await _carry_out(operation, call)
        call = replace(call, timeout_s=LIFETIME_S)
        return await self._idempotency.once(
            (call.tenant.id, operation.path.format(**call.path), once),
            raw,
            lambda: _carry_out(operation, call),
            call.tenant.shared,
        )

    async def _open_stream(self, request: web.BaseRequest, key: ApiKey, tenant_id: str) -> web.StreamResponse | Problem:
        """A backend that connects by itself: over its socket it may do whatever its key may."""
        tenant = self._gateway.tenant(tenant_id) if key.covers(tenant_id) else None
        if tenant is None:
            return _NO_TENANT
        if key.read_only:
            return _READ_ONLY_STREAM
        calls = KeyCalls(self._gateway, self._rates, key, tenant)

        def may_go_on() -> bool:
            now = self._current_keys().now(key)
            return now is not None and now.covers(tenant_id) and not now.read_only

        return await self._sockets.handle(request, stream_of(request, tenant, key.name, calls), may_go_on)

    async def _open_tail(
        self, request: web.BaseRequest, key: ApiKey, tenant_id: str, room: str
    ) -> web.StreamResponse | Problem:
        """Somebody who only listens: a read-only key may."""
        tenant = self._gateway.tenant(tenant_id) if key.covers(tenant_id) else None
        if tenant is None:
            return _NO_TENANT

        def may_go_on() -> bool:
            now = self._current_keys().now(key)
            return now is not None and now.covers(tenant_id)

        return await self._sockets.handle(request, tail_of(request, tenant, key.name, room), may_go_on)

    def _find_key(self, request: web.BaseRequest, *, in_subprotocol: bool) -> ApiKey | None:
        shown = request.headers.getall("Authorization", [])
        if in_subprotocol and not shown and (key := shown_key(request.headers)) is not None:
            shown = [f"Bearer {key}"]
        return self._current_keys().find(shown)

    def _current_keys(self) -> ApiKeys:
        configured = self._gateway.settings.gateway.internal.api_keys
        if configured is not self._configured:
            self._configured, self._keys = configured, ApiKeys(configured)
        return self._keys


def _room_of_tail(parts: list[str]) -> str | Problem | None:
    """The room whose tail the path names; None: it names none."""
    if len(parts) != 6 or (parts[1], parts[3], parts[5]) != ("tenants", "rooms", "tail"):
        return None
    fault = name_fault("room", parts[4])
    return parts[4] if fault is None else Problem(400, fault)


async def _carry_out(operation: Operation, call: Call) -> Answered | Problem:
    answer: BaseModel | Problem = await operation.handler(call)
    _log_call(operation, call, answer.status if isinstance(answer, Problem) else operation.status)
    if isinstance(answer, Problem):
        return answer
    return Answered(operation.status, answer.model_dump_json().encode())


def _not_allowed(allowed: tuple[str, ...]) -> Problem:
    methods = ", ".join(allowed)
    return Problem(405, f"this path takes {methods}", headers={"Allow": methods})


def _log_call(operation: Operation, call: Call, status: int) -> None:
    level = logging.INFO if operation.audited else logging.DEBUG
    if not _log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"call": operation.name, "key": call.key.name, "status": status}
    if call.one_tenant is not None:
        fields["tenant"] = call.one_tenant.id
    if operation.audited and isinstance(call.body, BaseModel):
        fields["asked"] = call.body.model_dump(exclude_none=True)
    elif operation.audited and "name" in call.path:
        fields["asked"] = {call.path["what"]: call.path["name"]}
    _log.log(level, "api call", extra=fields)
