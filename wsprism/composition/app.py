"""The composition root: makes every part of one gateway, starts them, and stops them in order.

Nothing is decided here; whoever wants to know what talks to what reads this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from actors import ActorRef, ActorSystem, LoopScheduler, SystemStatistics
from wsprism import __version__
from wsprism.adapters.state import StateFile
from wsprism.adapters.telemetry.build import build_telemetry
from wsprism.adapters.telemetry.metrics import CONTENT_TYPE_LATEST, Metrics
from wsprism.composition.assembly import build_handshake_limiter, build_http_limits, build_pacer, build_tenant
from wsprism.composition.live import LiveParts
from wsprism.composition.node import build_node, node_name
from wsprism.composition.node_list import OwnFigures
from wsprism.composition.planned_restart import give_histories_back, save_histories
from wsprism.composition.preflight import read_configuration
from wsprism.composition.reload import Reloader, ReloadReport
from wsprism.composition.seat import Seat
from wsprism.composition.service_code import ServiceCode
from wsprism.errors import OperatorError
from wsprism.policy.drain import DrainPlan
from wsprism.policy.proxies import TrustedProxies
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.gateway import Gateway
from wsprism.realtime.outbound.drain import Drain
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.sweeper import Sweeper
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.tenant.state import TenantState
from wsprism.realtime.view import ClusterFigures, NodeInfo
from wsprism.realtime.vitals import Vitals
from wsprism.settings import ListenAddress, LoggingSettings, Settings, TenantSettings, shared_hash
from wsprism.transport.admission.admission import Admission
from wsprism.transport.api import Api
from wsprism.transport.http.probes import Probes
from wsprism.transport.http.refusals import Refusals
from wsprism.transport.http.server import Handler, HttpServer
from wsprism.transport.http.sockets import first_reserved_descriptor
from wsprism.transport.http.tls import Certificate
from wsprism.transport.ui import Site
from wsprism.transport.websocket.keyed import KeyedSockets
from wsprism.transport.websocket.upgrade import Upgrader

__all__ = ["GatewayProcess"]

_log = logging.getLogger("wsprism.gateway")

_STOP_TIMEOUT_S = 5.0
_STREAMS_GONE_WITHIN_S = 1.0
_HISTORIES_KEPT_WITHIN_S = 2.0
"""At the least; else the grace of a drain."""
_SETTLED_WITHIN_S = 1.0


class GatewayProcess:
    """One gateway on the running loop. ``start``, then ``drain`` (or ``stop``); not to be started twice."""

    def __init__(
        self,
        settings: Settings,
        *,
        file: str | None = None,
        configure_logging: Callable[[LoggingSettings], object] = lambda _: None,
        code: ServiceCode | None = None,
        seat: Seat | None = None,
    ) -> None:
        """``file`` is what a reload reads; ``configure_logging`` is told when the settings of the log change; ``code``
        has services that were loaded already; ``seat``: it is one of several. Raises CodeFault when one cannot be.
        """
        loop = asyncio.get_running_loop()
        gateway = settings.gateway
        self.certificate = Certificate(gateway.tls, loop) if gateway.tls.cert_file is not None else None
        self.counters = GatewayCounters()
        self._seat = seat
        worker = None if seat is None else seat.number
        self._node_name = node_name(gateway.node, worker)
        self._tracing, exporter = build_telemetry(gateway, self.counters, self._node_name)
        self.sampler = Sampler(self._tracing, gateway.tracing.sample_ratio)
        scheduler = self._scheduler = LoopScheduler(loop)
        self.vitals = Vitals(scheduler)
        self._system = ActorSystem(scheduler, name="wsprism", on_failure=_log_failure)
        self.flusher = Flusher(
            scheduler,
            build_pacer(gateway.flush),
            stall_timeout_s=gateway.writer_send_timeout_ms / 1000,
            on_stall=self._give_up,
            soon=self._system.after_turns,
        )
        code = self._code = ServiceCode() if code is None else code
        self._shared_hash = "", ""
        self.node = (
            build_node(gateway, scheduler, lambda: self._tenants.values(), self._own_figures, worker)
            if gateway.broker
            else None
        )
        self._tenants = {one.id: self._new_tenant(one) for one in settings.tenants}
        refusals = Refusals(self.counters, scheduler.now)
        self._admission = Admission(
            self._tenants,
            build_handshake_limiter(gateway.handshake_limit, scheduler.now()),
            scheduler.now,
            max_judging=gateway.limits.max_half_open,
        )
        self._upgrader = Upgrader(
            self._admission,
            self.counters,
            refusals,
            proxies=TrustedProxies(gateway.trusted_proxies),
            compression=gateway.compression,
            explain_refusals=gateway.explain_refusals,
            loop=loop,
        )
        self._keyed = KeyedSockets(loop)
        self._sweeper = Sweeper(
            scheduler,
            lambda: chain(self._upgrader.links, self._keyed.links),
            time.time,
            ping_interval_s=gateway.ping_interval_ms / 1000,
            idle_timeout_s=gateway.idle_timeout_ms / 1000,
            also=self._sweep_rooms,
        )
        self._parts = LiveParts(
            self._tenants,
            lambda one: self._keep(self._new_tenant(one)),
            scheduler,
            self.flusher,
            self._sweeper,
            self._admission,
            self._upgrader,
            self.certificate,
            configure_logging,
            code,
        )
        self._state: StateFile | None = None
        self.file = file
        self._reloader = Reloader(
            settings, file or "", lambda content: _read(file, code, content), self._parts, self.counters
        )
        self._metrics = Metrics(self, exporter, gateway.metrics.interval_s, self._node_name)
        self._drain: Drain | None = None
        self._drain_began_at = 0.0
        self.drain_begun = asyncio.Event()
        self._drain_ended = asyncio.Event()
        public, internal = self._routes()
        limits = build_http_limits(gateway.limits)
        self._server = HttpServer(
            public, limits, refusals, certificate=self.certificate, first_reserved=first_reserved_descriptor()
        )
        self._api = Api(self, scheduler, self._keyed)
        self._internal: HttpServer | None = None
        if gateway.internal.listen:
            self._internal = HttpServer(internal, limits, refusals, keep_alive=True, otherwise=self._api.handle)
        self._parts.keyed = self._keyed
        self._parts.servers = [self._server] if self._internal is None else [self._server, self._internal]
        self._started_at = scheduler.now()

    # Configuration

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._reloader.settings

    async def reload(self) -> ReloadReport:
        """Read the file again and put what changed in force. Raises SettingsError when the old one stays entirely."""
        return await self._reloader.reload()

    # GatewayView

    def tenants(self) -> Iterable[TenantContext]:
        return self._tenants.values()

    def tenant(self, tenant_id: str) -> TenantContext | None:
        """The tenant with this id, if there is one."""
        return self._tenants.get(tenant_id)

    def uptime_s(self) -> float:
        """Since it was made."""
        return self._scheduler.now() - self._started_at

    def actors(self) -> SystemStatistics:
        return self._system.statistics()

    def connections(self) -> int:
        return len(self._upgrader.links)

    def http_connections(self) -> int:
        """Sockets that are still HTTP: not upgraded, or being answered."""
        return self._server.connections

    def cluster(self) -> ClusterFigures | None:
        return None if self.node is None else self.node.figures()

    async def nodes(self) -> list[NodeInfo] | None:
        """All nodes, this one alone where there is no broker; None: they cannot be asked now."""
        if self.node is not None:
            return await self.node.nodes()
        own = self._own_figures()
        return [
            NodeInfo(
                name=own.name,
                incarnation=0,
                lease_age_ms=0,
                connections=own.connections,
                version=__version__,
                configuration_hash=own.configuration_hash,
                differs=False,
                silent=False,
                draining=own.draining,
            )
        ]

    def _own_figures(self) -> OwnFigures:
        if self._shared_hash[0] != self.counters.config_hash:
            self._shared_hash = self.counters.config_hash, shared_hash(self.settings)
        return OwnFigures(self._node_name, self.connections(), self._shared_hash[1], self.draining())

    def draining(self) -> bool:
        return self._admission.draining

    # Life

    @property
    def address(self) -> ListenAddress:
        """Where the public listener listens, with the port that it got."""
        return self._server.address

    @property
    def internal_address(self) -> ListenAddress | None:
        """Where the internal listener listens, with the port that it got; None: there is none."""
        return self._internal.address if self._internal is not None else None

    def _new_tenant(self, settings: TenantSettings) -> TenantContext:
        tenant = build_tenant(settings, self._scheduler, self.sampler, self._code)
        return tenant if self.node is None else self.node.join(tenant)

    def _sweep_rooms(self) -> None:
        """Give back what rooms kept and nobody asked for."""
        for tenant in self._tenants.values():
            if tenant.store is not None:
                tenant.store.sweep()
            if tenant.mirror is not None:
                tenant.mirror.sweep()
        if self.node is not None:
            self.node.sweep()

    async def start(self) -> None:
        """Serve. Raises OperatorError when the address or the state file cannot be had."""
        await self._open_state()
        try:
            if self.node is not None:
                await self.node.start()
            await self._start()
        except OperatorError:
            if self.node is not None:
                await self.node.close()
            await self._close_state()
            raise

    async def _open_state(self) -> None:
        path = self.settings.gateway.state_file
        if path is None:
            return
        state = self._state = await asyncio.to_thread(StateFile.open, path)
        try:
            await asyncio.to_thread(give_histories_back, state, self._tenants)
        except OperatorError:
            self._state = None
            state.close()
            raise
        for tenant in self._tenants.values():
            self._keep(tenant)
        self._api.keep_in(self._state)
        await self._state.settled()

    def _keep(self, tenant: TenantContext) -> TenantContext:
        if self._state is not None:
            tenant.keep_in(TenantState(self._state, tenant.id))
        return tenant

    async def _close_state(self) -> None:
        """Nothing changes any more."""
        if self._state is None:
            return
        for tenant in self._tenants.values():
            tenant.end_keeping()
        await asyncio.to_thread(save_histories, self._state, self._tenants.values(), self._histories_kept_within_s)
        await asyncio.to_thread(self._state.close)
        self._state = None

    async def _start(self) -> None:
        self._parts.gateway = self._system.spawn(
            lambda: Gateway(tuple(self._tenants.values()), self.flusher), name="gateway"
        )
        self._parts.backends.configure(self.settings.tenants, self._tenants)
        for tenant in self._tenants.values():
            tenant.start_services()
        gateway, seat = self.settings.gateway, self._seat
        if self._internal is not None and gateway.internal.listen is not None:
            await self._internal.start(gateway.internal.listen if seat is None else seat.internal)
            self._api.start()
        try:
            if seat is None:
                await self._server.start(gateway.listen)
            else:
                await self._server.start(seat.address, ())
        except OperatorError:
            await self._stop_internal()
            raise
        self._sweeper.start()
        if self.certificate is not None:
            self.certificate.watch()
        self.vitals.start()
        self._metrics.start()

    def begin_drain(self) -> None:
        """Fail readiness, take nobody new, tell every client when to come back and begin to close them. Idempotent.

        Whoever runs the gateway waits for ``drain_begun`` and goes on with ``drain``.
        """
        self._begin_drain()

    def _begin_drain(self) -> None:
        if self._drain is not None:
            return
        self._admission.draining = True
        self._drain_began_at = self._scheduler.now()
        if self.node is not None:
            self.node.announce()
        _log.info("draining", extra={"connections": self.connections(), "grace_ms": self._drain_plan().grace_ms})
        self._drain = Drain(self._scheduler, self._drain_plan())
        self._drain.begin(self._upgrader.links)
        self._keyed.begin_drain(self._drain_plan().farewell(0).reconnect_after_ms)
        self.drain_begun.set()

    def end_drain(self) -> None:
        """Wait no longer: ``drain`` goes on to ``stop``."""
        self._drain_ended.set()

    async def drain(self) -> None:
        """``begin_drain``, wait until the clients are gone, the grace is over or ``end_drain`` is called; ``stop``.

        Balancers have ``gateway.drain_notice_ms`` to notice, also when nobody is connected.
        """
        self._begin_drain()
        waits = {asyncio.ensure_future(one) for one in (self._upgrader.wait_until_empty(), self._drain_ended.wait())}
        _, pending = await asyncio.wait(
            waits, timeout=self._drain_plan().wait_ms / 1000, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in pending:
            wait.cancel()
        notice_s = self._drain_began_at + self.settings.gateway.drain_notice_ms / 1000 - self._scheduler.now()
        if notice_s > 0 and self._needs_notice():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drain_ended.wait(), notice_s)
        await self.stop()

    def _needs_notice(self) -> bool:
        return True

    @property
    def ends_within_s(self) -> float:
        """How long a drain may take, what is kept of it included."""
        gateway = self.settings.gateway
        kept_within_s = self._histories_kept_within_s if gateway.state_file is not None else 0.0
        return max(gateway.drain_grace_ms, gateway.drain_notice_ms) / 1000 + kept_within_s

    @property
    def _histories_kept_within_s(self) -> float:
        return max(self._drain_plan().wait_ms / 1000, _HISTORIES_KEPT_WITHIN_S)

    def _drain_plan(self) -> DrainPlan:
        gateway = self.settings.gateway
        return DrainPlan(gateway.drain_grace_ms, gateway.writer_send_timeout_ms)

    async def stop(self) -> None:
        """Close what is left at once, actors last."""
        self._admission.draining = True
        self._sweeper.stop()
        if self.certificate is not None:
            self.certificate.close()
        self.vitals.stop()
        if self._drain is not None:
            self._drain.stop()
        await self._server.stop_accepting()
        self._upgrader.farewells.end()
        for link in list(self._upgrader.links):
            link.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._upgrader.wait_until_empty()
        await self._settle()
        await self._end_keyed()
        for tenant in self._tenants.values():
            tenant.stop_services()
        await self._system.stop(_STOP_TIMEOUT_S)
        left = await self._parts.backends.close(self.settings.gateway.drain_grace_ms / 1000)
        if left:
            _log.warning("news were not taken by their backend", extra={"events": left})
        await self._server.stop()
        for tenant in self._tenants.values():
            await tenant.authenticator.close()
        await self._parts.close()
        await self._stop_internal()
        if self.node is not None:
            await self.node.close()
        await self._close_state()
        await asyncio.gather(*(one.close() for one in (self._metrics, self._tracing) if one is not None))

    async def _settle(self) -> None:
        """What clients have said before they went reaches rooms and backends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLED_WITHIN_S):
                while self._system.statistics().mailbox_depth:  # noqa: ASYNC110 (no actor tells when all are done)
                    await asyncio.sleep(0)

    async def _end_keyed(self) -> None:
        """Backends that are connected go last, when they have been told what became of their clients."""
        if self._keyed.links:
            await self._parts.backends.finish_news_of_streams(self.settings.gateway.drain_grace_ms / 1000)
        await self._keyed.close(_STREAMS_GONE_WITHIN_S)

    def _failed(self) -> bool:
        return not self._parts.gateway.alive

    def unready(self) -> str | None:
        """Why nobody should be sent here now, if so."""
        if self.draining():
            return "draining"
        return "failed" if self._failed() else self._unready()

    def _unready(self) -> str | None:
        return None if self.node is None else self.node.unready

    def _give_up(self, outlet: Outlet) -> None:
        self.counters.write_stalls += 1
        outlet.give_up("no progress")

    async def _stop_internal(self) -> None:
        self._api.stop()
        if self._internal is not None:
            await self._internal.stop()

    def _routes(self) -> tuple[Mapping[str, Handler], Mapping[str, Handler]]:
        """Of the public listener, and of the internal one: without it the public one tells operators what it can."""
        gateway = self.settings.gateway
        probes = Probes(self.draining, self._failed, self._unready, self._metrics.render, CONTENT_TYPE_LATEST)
        public: dict[str, Handler] = {"/v1/ws": self._upgrader.handle} | probes.liveness
        if gateway.diagnostics.echo_path is not None:
            public.setdefault(gateway.diagnostics.echo_path, self._upgrader.handle_echo)
        if gateway.internal.listen is None:
            return public | probes.for_operators, {}
        site = Site(lambda: self.settings.gateway, lambda: self.address)
        return public, probes.for_operators | probes.liveness | site.routes


def _read(file: str | None, code: ServiceCode, content: bytes | None) -> Settings:
    if file is None:
        raise OperatorError("this gateway was not started from a file")
    return read_configuration(file, content, code=code)


def _log_failure(ref: ActorRef, error: Exception) -> None:
    logging.getLogger("wsprism.actors").error("an actor failed", extra={"actor": ref.path}, exc_info=error)
