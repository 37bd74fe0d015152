"""What telemetry and the HTTP endpoints may read of the running gateway. Read-only; every value is of this moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from actors import SystemStatistics
from wsprism.ports import BackendPort
from wsprism.realtime.counters import GatewayCounters, TenantCounters
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.vitals import Vitals

__all__ = ["GatewayView", "TenantView"]


class TenantView(Protocol):
    """One tenant's figures."""

    @property
    def id(self) -> str: ...
    @property
    def counters(self) -> TenantCounters: ...
    @property
    def sessions(self) -> int: ...
    @property
    def rooms(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def backend(self) -> BackendPort | None: ...


class GatewayView(Protocol):
    """The process's figures."""

    @property
    def counters(self) -> GatewayCounters: ...
    @property
    def flusher(self) -> Flusher: ...
    @property
    def sampler(self) -> Sampler: ...
    @property
    def vitals(self) -> Vitals: ...

    def tenants(self) -> Iterable[TenantView]: ...
    def actors(self) -> SystemStatistics: ...
    def connections(self) -> int: ...
    def http_connections(self) -> int: ...
    def draining(self) -> bool: ...
