"""The composition root: makes every part of one gateway, starts them, and stops them in order.

Nothing is decided here; whoever wants to know what talks to what reads this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from aiohttp import web

from actors import ActorRef, ActorSystem, LoopScheduler, SystemStatistics
from qos import Pacer
from wsprism.adapters.authenticators import build_authenticator
from wsprism.adapters.metrics import CONTENT_TYPE_LATEST, Metrics
from wsprism.errors import OperatorError
from wsprism.policy.handshake import HandshakeLimiter, HandshakeRates
from wsprism.ports import ExtService, HotService
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.flusher import Flusher
from wsprism.realtime.gateway import Gateway
from wsprism.realtime.messages import DrainTenant
from wsprism.realtime.rules import ServiceRegistry, TenantContext, compile_rules
from wsprism.realtime.sweeper import Sweeper
from wsprism.services import ChatService, EchoService, RelayService, RoomService
from wsprism.settings import HandshakeLimitSettings, ListenAddress, Settings, TenantSettings
from wsprism.transport.server import Handler, HttpServer
from wsprism.transport.upgrade import Upgrader

__all__ = ["GatewayProcess", "refuse_unavailable", "serve"]

_log = logging.getLogger("wsprism.gateway")

_STOP_TIMEOUT_S = 5.0

_GC_THRESHOLD = 50_000
"""Allocations between two looks of the cyclic collector: the message path makes no cycles, only connections do."""


class GatewayProcess:
    """One gateway on the running loop. ``start``, then ``drain`` (or ``stop``); not to be started twice."""

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        gateway = settings.gateway
        self.settings = settings
        self.counters = GatewayCounters()
        scheduler = LoopScheduler(loop)
        self._system = ActorSystem(scheduler, name="wsprism", on_failure=_log_failure)
        self._flusher = Flusher(
            scheduler,
            Pacer(share=gateway.flush.share, max_delay_s=gateway.flush.max_delay_ms / 1000),
            stall_timeout_s=gateway.writer_send_timeout_ms / 1000,
            on_stall=lambda outlet: outlet.give_up("no progress"),
        )
        self._tenants = {one.id: _tenant_context(one, scheduler) for one in settings.tenants}
        limit = gateway.handshake_limit
        self._upgrader = Upgrader(
            self._tenants,
            _handshake_limiter(limit, scheduler.now()) if limit.enabled else None,
            self.counters,
            compression=gateway.compression,
            loop=loop,
        )
        self._sweeper = Sweeper(
            scheduler,
            lambda: self._upgrader.links,
            time.time,
            ping_interval_s=gateway.ping_interval_ms / 1000,
            idle_timeout_s=gateway.idle_timeout_ms / 1000,
        )
        self._metrics = Metrics(self)
        self._server = HttpServer(self._routes(), max_header_bytes=gateway.limits.max_header_bytes)
        self._gateway: ActorRef | None = None

    # GatewayView

    def tenants(self) -> Iterable[TenantContext]:
        return self._tenants.values()

    def actors(self) -> SystemStatistics:
        return self._system.statistics()

    def connections(self) -> int:
        return len(self._upgrader.links)

    def http_connections(self) -> int:
        """Sockets that are still HTTP: not upgraded, or being answered."""
        return self._server.connections

    def draining(self) -> bool:
        return self._upgrader.draining

    # Life

    @property
    def address(self) -> ListenAddress:
        """Where the public listener listens, with the port that it got."""
        listen = self.settings.gateway.listen
        return listen if self._server.port is None else replace(listen, port=self._server.port)

    async def start(self) -> None:
        """Serve. Raises OperatorError when the address cannot be had."""
        self._gateway = self._system.spawn(
            lambda: Gateway(tuple(self._tenants.values()), self._flusher), name="gateway"
        )
        await self._server.start(self.settings.gateway.listen)
        self._sweeper.start()

    def begin_drain(self) -> None:
        """Fail readiness, take nobody new, tell every client and close it once its queue is flushed."""
        grace_ms = self.settings.gateway.drain_grace_ms
        self._upgrader.draining = True
        _log.info("draining", extra={"connections": self.connections(), "grace_ms": grace_ms})
        if self._gateway is not None:
            self._gateway.tell_control(DrainTenant(reconnect_after_ms=grace_ms))

    async def drain(self) -> None:
        """``begin_drain``, wait for the clients, then ``stop``; within ``drain_grace_ms``."""
        grace_s = self.settings.gateway.drain_grace_ms / 1000
        self.begin_drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._upgrader.wait_until_empty()
        await self.stop()

    async def stop(self) -> None:
        """Close what is left at once, actors last."""
        self._upgrader.draining = True
        self._sweeper.stop()
        await self._server.stop_accepting()
        for link in list(self._upgrader.links):
            link.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._upgrader.wait_until_empty()
        await self._system.stop(_STOP_TIMEOUT_S)
        await self._server.stop()
        self._metrics.close()

    # HTTP

    def _routes(self) -> Mapping[str, Handler]:
        return {
            "/v1/ws": self._upgrader.handle,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._render_metrics,
        }

    async def _healthz(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.BaseRequest) -> web.StreamResponse:
        if self.draining():
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "ready"})

    async def _render_metrics(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def serve(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT has drained it; a second signal ends the wait.

    ``announce`` is told in plain words, besides the log, what was started. Raises OperatorError when it cannot start.
    """
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    process = GatewayProcess(settings)
    await process.start()
    _announce(settings, process.address, announce)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    await stop.wait()
    draining = asyncio.ensure_future(process.drain())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        draining.cancel()
        await asyncio.wait({draining})
        await process.stop()
    else:
        draining.result()
    _log.info("stopped")


def refuse_unavailable(settings: Settings) -> None:
    """Raise OperatorError for keys that this version knows and does not act on: none is silently without effect."""
    gateway = settings.gateway
    asked = {
        "gateway.internal": gateway.internal.listen is not None or bool(gateway.internal.api_keys),
        "gateway.trusted_proxies": bool(gateway.trusted_proxies),
        "gateway.tls": gateway.tls.cert_file is not None,
        "gateway.tracing": gateway.tracing.endpoint is not None,
        "gateway.metrics.otlp_endpoint": gateway.metrics.otlp_endpoint is not None,
        "gateway.diagnostics.echo_path": gateway.diagnostics.echo_path is not None,
    }
    asked |= {
        f"tenants[{position}].auth kind {auth.kind}": True
        for position, tenant in enumerate(settings.tenants)
        for auth in tenant.auth
        if auth.kind not in ("dev", "tokens")
    }
    names = [name for name, is_asked in asked.items() if is_asked]
    if names:
        raise OperatorError("not available in this version: " + ", ".join(names))


def _announce(settings: Settings, listen: ListenAddress, announce: Callable[[str], None] | None) -> None:
    lines = [f"🚀 wsPrism Gateway active at {listen}"]
    lines += [f'Loaded configuration for tenant: "{tenant.id}"' for tenant in settings.tenants]
    for line in lines:
        _log.info(line)
        if announce is not None:
            announce(line)
    for tenant in settings.tenants:
        if not tenant.auth:
            _log.warning("every ticket is refused: the tenant has no auth", extra={"tenant": tenant.id})
        if any(auth.kind == "dev" for auth in tenant.auth) and not listen.is_loopback:
            _log.warning("dev tickets let anybody in, and the listener is not loopback", extra={"tenant": tenant.id})
        for entry in _unknown_allowlist_entries(tenant):
            _log.warning("an allowlist entry names no service", extra={"tenant": tenant.id, "entry": entry})


def _unknown_allowlist_entries(tenant: TenantSettings) -> list[str]:
    services = _services(tenant)
    unknown = []
    for entry in tenant.policy.ext_allowlist:
        svc, _, message_type = entry.partition(":")
        service = services.ext.get(svc)
        if svc != "sys" and (service is None or message_type not in service.types | {"*"}):
            unknown.append(entry)
    unknown += [entry for entry in tenant.policy.hot_allowlist if int(entry.partition(":")[0]) not in services.hot]
    return unknown


def _tenant_context(settings: TenantSettings, scheduler: LoopScheduler) -> TenantContext:
    rules = compile_rules(settings, _services(settings))
    return TenantContext(settings.id, rules, build_authenticator(settings.auth), scheduler.now)


def _services(settings: TenantSettings) -> ServiceRegistry:
    ext: dict[str, ExtService] = {"room": RoomService()}
    for name, ext_settings in settings.services.ext.items():
        if ext_settings.kind == "chat":
            ext[name] = ChatService(name)
    hot: dict[int, HotService] = {}
    for service_id, hot_settings in settings.services.hot.items():
        kind = EchoService if hot_settings.kind == "echo" else RelayService
        hot[service_id] = kind(include_sender=hot_settings.include_sender)
    return ServiceRegistry(ext, hot)


def _handshake_limiter(limit: HandshakeLimitSettings, now: float) -> HandshakeLimiter:
    rates = HandshakeRates(
        global_rps=limit.global_rps,
        global_burst=limit.global_burst,
        per_ip_rps=limit.per_ip_rps,
        per_ip_burst=limit.per_ip_burst,
        max_ip_entries=limit.max_ip_entries,
    )
    return HandshakeLimiter(rates, now)


def _log_failure(ref: ActorRef, error: Exception) -> None:
    logging.getLogger("wsprism.actors").error("an actor failed", extra={"actor": ref.path}, exc_info=error)
