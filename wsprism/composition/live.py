"""The parts of a running gateway that a reload changes: first everything new is built, then all is switched at once.

Building may fail and may wait, and changes nothing. Switching does neither. What changed is the reload's to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors import ActorRef, Scheduler
from wsprism.adapters.tickets.authenticators import build_authenticator
from wsprism.composition.assembly import build_handshake_limiter, build_http_limits, build_pacer, build_rules
from wsprism.composition.backends import Backends
from wsprism.composition.service_code import CodeFault, ServiceCode, take_over
from wsprism.errors import OperatorError
from wsprism.policy.proxies import TrustedProxies
from wsprism.ports import Authenticator
from wsprism.realtime.messages import AddTenants, RemoveTenant, RulesChanged
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.sweeper import Sweeper
from wsprism.realtime.rules import TenantContext, TenantRules
from wsprism.services.python import MigrationFailed
from wsprism.settings import Change, LoggingSettings, Settings, TenantSettings
from wsprism.transport.admission.admission import Admission
from wsprism.transport.http.server import HttpServer
from wsprism.transport.http.tls import Certificate
from wsprism.transport.websocket.keyed import KeyedSockets
from wsprism.transport.websocket.upgrade import Upgrader

__all__ = ["LiveParts", "Switch"]

_SPAWN_TIMEOUT_S: Final = 5.0
_HELD_BY_CONNECTIONS: Final = ("limits.", "policy.", "qos.", "rooms")
"""Keys of a tenant of which its connections hold something."""


@dataclass(slots=True)
class Switch:
    """What was built for a new configuration. A tenant keeps its authenticator unless there is a new one."""

    settings: Settings
    changes: Sequence[Change]
    added: list[TenantContext] = field(default_factory=list)
    removed: list[TenantContext] = field(default_factory=list)
    rules: list[tuple[TenantContext, TenantRules, Authenticator | None]] = field(default_factory=list)
    use_certificate: Callable[[], None] | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Key and problem of everything that could not be built."""
    _keys: dict[str | None, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for change in self.changes:
            self._keys.setdefault(change.tenant, []).append(change.key)

    def touches(self, *keys: str) -> bool:
        """Whether a gateway-wide key at or below one of ``keys`` has changed."""
        return any(key.startswith(keys) for key in self._keys.get(None, ()))

    def keys_of(self, tenant: str) -> Sequence[str]:
        """The changed keys of a tenant."""
        return self._keys.get(tenant, ())


class LiveParts:
    """``tenants`` is the one table of tenants; ``configure_logging`` is told of new settings of the log.

    ``gateway``, ``servers`` and ``keyed`` are set once they are there.
    """

    def __init__(
        self,
        tenants: dict[str, TenantContext],
        new_tenant: Callable[[TenantSettings], TenantContext],
        scheduler: Scheduler,
        flusher: Flusher,
        sweeper: Sweeper,
        admission: Admission,
        upgrader: Upgrader,
        certificate: Certificate | None,
        configure_logging: Callable[[LoggingSettings], object],
        code: ServiceCode,
    ) -> None:
        self.gateway: ActorRef
        self.keyed: KeyedSockets
        self.servers: Sequence[HttpServer] = ()
        self.backends = Backends(scheduler)
        self._tenants = tenants
        self._new_tenant = new_tenant
        self._scheduler = scheduler
        self._certificate = certificate
        self._flusher = flusher
        self._sweeper = sweeper
        self._admission = admission
        self._upgrader = upgrader
        self._configure_logging = configure_logging
        self._code = code
        self._closing: set[asyncio.Task[None]] = set()

    def build(self, settings: Settings, changes: Sequence[Change]) -> Switch:
        """Build what ``changes`` ask for. It goes on to ``spawn`` and ``switch``, or to ``discard``."""
        switch = Switch(settings, changes)
        ids = {tenant.id for tenant in settings.tenants}
        switch.removed = [tenant for tenant in self._tenants.values() if tenant.id not in ids]
        for tenant in settings.tenants:
            try:
                self._build_tenant(tenant, switch)
            except CodeFault as error:
                switch.faults.append((f"tenants[{tenant.id}].{'.'.join(error.path)}", str(error)))
            except OperatorError as error:
                switch.faults.append((f"tenants[{tenant.id}].auth", str(error)))
        if self._certificate is not None and switch.touches("gateway.tls"):
            try:
                switch.use_certificate = self._certificate.prepare(settings.gateway.tls)
            except OperatorError as error:
                switch.faults.append(("gateway.tls", str(error).removeprefix("gateway.tls: ")))
        return switch

    def _build_tenant(self, settings: TenantSettings, switch: Switch) -> None:
        context = self._tenants.get(settings.id)
        keys = switch.keys_of(settings.id)
        if context is None:
            switch.added.append(self._new_tenant(settings))
        elif keys:
            auth_changed = any(key.startswith("auth") for key in keys)
            authenticator = build_authenticator(settings, context.one_time, context.now) if auth_changed else None
            switch.rules.append((context, build_rules(settings, self._code, context.rules.services), authenticator))

    async def spawn(self, switch: Switch) -> None:
        """Start the actors of new tenants. Raises ActorError when the gateway's own is stopping."""
        if switch.added:
            await self.gateway.ask(AddTenants(switch.added), _SPAWN_TIMEOUT_S)

    async def discard(self, switch: Switch) -> None:
        """Let go of what was built and will not be used."""
        built = [one.authenticator for one in switch.added] + [one for _, _, one in switch.rules if one is not None]
        for tenant in switch.added:
            tenant.removed = True
            if hasattr(tenant, "ref"):
                tenant.ref.stop()
        for authenticator in built:
            await authenticator.close()

    def take_over(self, switch: Switch) -> None:
        """Just before ``switch``, in one step with it: new services take over what those before them know of rooms.

        What cannot be handed over is a fault of ``switch``; nothing has changed then.
        """
        for tenant, rules, _ in switch.rules:
            try:
                take_over(tenant.rules.services, rules.services)
            except MigrationFailed as error:
                switch.faults.append((f"tenants[{tenant.id}].services", f"migrate failed: {error}"))

    def switch(self, switch: Switch) -> None:
        """Put the new configuration in force, in one synchronous step."""
        for tenant in switch.added:
            self._tenants[tenant.id] = tenant
            tenant.start_services()
        for tenant in switch.removed:
            del self._tenants[tenant.id]
            tenant.removed = True
            tenant.stop_services()
            tenant.ref.tell_control(RemoveTenant())
        replaced = [tenant.authenticator for tenant in switch.removed]
        for tenant, rules, authenticator in switch.rules:
            tenant.apply(rules)
            if authenticator is not None:
                replaced.append(tenant.authenticator)
                tenant.authenticator = authenticator
            if any(key.startswith(_HELD_BY_CONNECTIONS) for key in switch.keys_of(tenant.id)):
                tenant.ref.tell_control(RulesChanged())
        self._code.keep_only(switch.settings.tenants)
        self._switch_gateway(switch)
        self.backends.configure(switch.settings.tenants, self._tenants)
        self._retire(replaced)

    def _switch_gateway(self, switch: Switch) -> None:
        gateway = switch.settings.gateway
        self._sweeper.configure(gateway.ping_interval_ms / 1000, gateway.idle_timeout_ms / 1000)
        if switch.touches("gateway.flush", "gateway.writer_send_timeout_ms"):
            self._flusher.configure(build_pacer(gateway.flush), gateway.writer_send_timeout_ms / 1000)
        if switch.touches("gateway.handshake_limit"):
            self._admission.limiter = build_handshake_limiter(gateway.handshake_limit, self._scheduler.now())
        self._upgrader.compression = gateway.compression
        self._upgrader.explain_refusals = gateway.explain_refusals
        self._upgrader.proxies = TrustedProxies(gateway.trusted_proxies)
        self._admission.max_judging = gateway.limits.max_half_open
        for server in self.servers:
            server.configure(build_http_limits(gateway.limits))
        if switch.use_certificate is not None:
            switch.use_certificate()
        if switch.touches("gateway.internal.api_keys"):
            self._scheduler.call_soon(self.keyed.recheck)  # once the new settings are those in force
        if switch.touches("logging"):
            self._configure_logging(switch.settings.logging)

    def _retire(self, authenticators: Iterable[Authenticator]) -> None:
        """Each closes once the questions that it is answering are answered."""
        for authenticator in authenticators:
            closing = asyncio.ensure_future(authenticator.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Wait for what is closing."""
        if self._closing:
            await asyncio.wait(self._closing)
