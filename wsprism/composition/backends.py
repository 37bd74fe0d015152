"""The backends of all tenants: made of their settings, given new ones by a reload, closed at the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from actors import Scheduler
from wsprism.adapters.backend.backend import BackendPlan, HttpBackend, ServicePlan
from wsprism.effects import read_effects
from wsprism.policy.news import NewsBounds
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant.registry import RoomEntry
from wsprism.settings import TenantSettings, WebhookServiceSettings

__all__ = ["Backends", "plan_of"]

MAX_NEWS_BYTES = 64 * 1024 * 1024
"""Bound in bytes beside the configured number of events that wait."""


class Backends:
    """By tenant id. ``node`` is new with each start of the process, and stands in all news."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.node = secrets.token_hex(8)
        self._scheduler = scheduler
        self._backends: dict[str, HttpBackend] = {}
        self._closing: set[asyncio.Task[int]] = set()

    def find(self, tenant_id: str) -> HttpBackend | None:
        """The backend of a tenant, if it has one."""
        return self._backends.get(tenant_id)

    def configure(self, settings: Iterable[TenantSettings], tenants: Mapping[str, TenantContext]) -> None:
        """Make, change and let go of backends, so that they are what ``settings`` say. News that wait are kept."""
        plans = {one.id: plan_of(one) for one in settings}
        for tenant_id in [one for one in self._backends if plans.get(one) is None]:
            self._retire(self._backends.pop(tenant_id))
            if tenant_id in tenants:
                tenants[tenant_id].backend = None
        for tenant_id, plan in plans.items():
            tenant = tenants.get(tenant_id)
            if plan is None or tenant is None:
                continue
            backend = self._backends.get(tenant_id)
            if backend is None:
                backend = self._backends[tenant_id] = self._make(tenant, plan)
            elif backend.plan != plan:
                backend.apply(plan)
            tenant.backend = backend

    async def finish_news_of_streams(self, grace_s: float) -> None:
        """Hand on what waits where streams are there to take it, within ``grace_s``; nothing is told there after."""
        streaming = (backend for backend in self._backends.values() if backend.is_connected)
        await asyncio.gather(*(backend.finish_news(grace_s) for backend in streaming))

    async def close(self, grace_s: float) -> int:
        """Hand on the news that wait, within ``grace_s``; how many events nobody will be told."""
        left = await asyncio.gather(*(backend.close(grace_s) for backend in self._backends.values()))
        if self._closing:
            await asyncio.wait(self._closing)
        return sum(left)

    def _make(self, tenant: TenantContext, plan: BackendPlan) -> HttpBackend:
        def read(body: bytes) -> list[Any] | str:
            rules = tenant.rules
            return read_effects(body, framing=rules.hot_framing, max_bytes=rules.limits.max_backend_bytes)

        def rooms() -> Mapping[str, RoomEntry]:
            return tenant.registry.rooms

        counters = tenant.counters.stream
        backend = HttpBackend(tenant.id, plan, self._scheduler, self.node, read, tenant.unix_now, counters, rooms)
        backend.start()
        return backend

    def _retire(self, backend: HttpBackend) -> None:
        closing = asyncio.ensure_future(backend.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def plan_of(tenant: TenantSettings) -> BackendPlan | None:
    """What a tenant's settings say of its backend; None: it has none."""
    settings = tenant.backend
    if settings is None:
        return None
    news = NewsBounds(
        settings.event_batch.max_events, settings.event_queue_max, MAX_NEWS_BYTES, float(settings.event_max_age_s)
    )
    return BackendPlan(
        url=settings.url,
        keys=settings.signing_keys(),
        timeout_s=settings.timeout_ms / 1000,
        max_in_flight=settings.max_in_flight,
        max_waiting=settings.max_waiting,
        failures=settings.breaker.failures,
        pause_s=settings.breaker.pause_ms / 1000,
        asks=frozenset(settings.ask),
        on_failure_allow=settings.on_failure == "allow",
        events=frozenset(settings.events),
        event_rooms=settings.event_rooms,
        news=news,
        news_delay_s=settings.event_batch.max_delay_ms / 1000,
        services={
            name: ServicePlan(
                one.url,
                None if one.timeout_ms is None else one.timeout_ms / 1000,
                one.batch,
                one.per_connection,
                one.max_pending_per_connection,
            )
            for name, one in tenant.services.ext.items()
            if isinstance(one, WebhookServiceSettings)
        },
        stream=settings.stream,
    )
