"""From settings to the parts they describe, one function per part. Used by ``app`` at the start and by a reload."""

from __future__ import annotations

import time
from typing import assert_never

from actors import Scheduler
from qos import Pacer
from wsprism import __version__
from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.adapters.tickets.authenticators import build_authenticator
from wsprism.composition.service_code import ServiceCode
from wsprism.policy.handshake import HandshakeLimiter, HandshakeRates
from wsprism.ports import ExtService, HostedService, HotService
from wsprism.realtime.rules import ServiceRegistry, TenantContext, TenantRules, compile_rules
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.tenant.one_time import OneTimeTickets
from wsprism.realtime.tenant.service_host import TenantServiceHost
from wsprism.services import (
    BackendHotService,
    ChatService,
    EchoService,
    RelayExtService,
    RelayService,
    ReplyService,
    RoomService,
    StateService,
    WebhookService,
)
from wsprism.settings import FlushSettings, HandshakeLimitSettings, HttpLimitsSettings, TenantSettings
from wsprism.settings.tenants import BuiltInExtSettings, BuiltInHotSettings
from wsprism.transport.http.gate import HttpLimits

__all__ = [
    "build_handshake_limiter",
    "build_http_limits",
    "build_pacer",
    "build_rules",
    "build_services",
    "build_tenant",
    "ext_types",
]


def build_tenant(settings: TenantSettings, scheduler: Scheduler, sampler: Sampler, code: ServiceCode) -> TenantContext:
    """A tenant's rules and authenticator, with nobody in it yet. Whoever puts it in force starts its services.

    Raises CodeFault, as ``build_rules`` does.
    """
    rules = build_rules(settings, code)
    one_time = OneTimeTickets(time.time)
    authenticator = build_authenticator(settings, one_time, scheduler.now)
    store = MemoryRoomStore(scheduler.now)
    tenant = TenantContext(
        settings.id, rules, authenticator, scheduler.now, one_time=one_time, sampler=sampler, store=store
    )
    tenant.host = TenantServiceHost(tenant, scheduler)
    return tenant


def build_rules(settings: TenantSettings, code: ServiceCode, before: ServiceRegistry | None = None) -> TenantRules:
    """The rules of a tenant, services included; those of ``before`` that are the same still are kept."""
    return compile_rules(settings, build_services(settings, code, before))


def build_services(
    settings: TenantSettings, code: ServiceCode, before: ServiceRegistry | None = None
) -> ServiceRegistry:
    """What a tenant's messages can reach; ``room`` is always there."""
    python = code.python_services(settings, before)
    hosted: list[HostedService] = [*python.ext.values(), *python.hot.values()]
    ext: dict[str, ExtService] = {"room": RoomService()}
    for name, ext_settings in settings.services.ext.items():
        if ext_settings.kind == "python":
            ext[name] = python.ext[name]
        elif ext_settings.kind == "wasm":
            module = ext[name] = code.wasm.ext(name, ext_settings, before)
            hosted.append(module)
        else:
            ext[name] = _built_in(name, ext_settings)
    hot: dict[int, HotService] = {}
    for service_id, hot_settings in settings.services.hot.items():
        if hot_settings.kind == "python":
            hot[service_id] = python.hot[service_id]
        elif hot_settings.kind == "wasm":
            looks = hot[service_id] = code.wasm.hot(service_id, hot_settings, before)
            hosted.append(looks)
        else:
            hot[service_id] = _built_in_hot(hot_settings)
    return ServiceRegistry(ext, hot, hosted, python.engines)


def ext_types(settings: TenantSettings) -> dict[str, frozenset[str] | None]:
    """The types that each ext service answers, as far as it is known without running code; None: any."""
    types: dict[str, frozenset[str] | None] = {"room": RoomService.types}
    for name, one in settings.services.ext.items():
        types[name] = None if one.kind == "python" or one.kind == "wasm" else _built_in(name, one).types
    return types


def _built_in_hot(settings: BuiltInHotSettings) -> HotService:
    match settings.kind:
        case "backend":
            return BackendHotService()
        case "echo":
            return EchoService(include_sender=settings.include_sender)
        case "relay":
            return RelayService(include_sender=settings.include_sender)
        case _:
            assert_never(settings.kind)


def _built_in(name: str, settings: BuiltInExtSettings) -> ExtService:
    match settings.kind:
        case "chat":
            return ChatService(name)
        case "relay":
            return RelayExtService(name)
        case "reply":
            return ReplyService({**settings.info, **({"version": __version__} if settings.version else {})}, time.time)
        case "state":
            return StateService()
        case "webhook":
            return WebhookService()
        case _:
            assert_never(settings.kind)


def build_http_limits(limits: HttpLimitsSettings) -> HttpLimits:
    """The bounds of a listener before the upgrade."""
    return HttpLimits(limits.handshake_timeout_ms / 1000, limits.max_half_open, limits.max_header_bytes)


def build_pacer(flush: FlushSettings) -> Pacer:
    """The pacing of writes."""
    return Pacer(share=flush.share, max_delay_s=flush.max_delay_ms / 1000)


def build_handshake_limiter(limit: HandshakeLimitSettings, now: float) -> HandshakeLimiter | None:
    """The limiter of handshakes; None when they are not limited."""
    if not limit.enabled:
        return None
    rates = HandshakeRates(
        global_rps=limit.global_rps,
        global_burst=limit.global_burst,
        per_ip_rps=limit.per_ip_rps,
        per_ip_burst=limit.per_ip_burst,
        max_ip_entries=limit.max_ip_entries,
    )
    return HandshakeLimiter(rates, now)
