"""What telemetry and the HTTP endpoints may read of the running gateway. Read-only; every value is of this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from actors import SystemStatistics
from wsprism.policy.values import ValueTable
from wsprism.ports import BackendPort, Broker, RoomStore
from wsprism.realtime.counters import GatewayCounters, TenantCounters
from wsprism.realtime.histogram import Histogram
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.vitals import Vitals

__all__ = ["ClusterFigures", "GatewayView", "NodeInfo", "TenantView"]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node; ``differs``: its configuration is another than that of most, but for what is each node's own.

    ``silent``: it may be dead, and is not compared. ``draining``: it takes nobody new, and ends.
    """

    name: str
    incarnation: int
    lease_age_ms: int
    connections: int
    version: str
    configuration_hash: str
    differs: bool
    silent: bool
    draining: bool


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """What a node knows of the others and of the Redis between them; counts are since the start."""

    away: bool
    live_nodes: int
    connections_lost: int
    fenced: int
    """Times that others took this node for dead."""
    reaped: int
    """Sessions and memberships of dead nodes that this one has cleared away."""
    differing: Mapping[str, bool]
    """Whether its configuration is another than that of most, by node."""
    lease_s: float
    lease_age_s: float | None
    """Since the last good renewal, by this node's own clock; None: it never had a lease."""
    degraded: bool
    """Clients have been told that Redis is away, and not yet that it is back."""
    degradations: int
    """Times that they were told so."""
    round_trips: Histogram
    """To Redis and back."""


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
    def store(self) -> RoomStore | None: ...
    @property
    def presence_entries(self) -> int: ...
    @property
    def values(self) -> ValueTable: ...
    @property
    def backend(self) -> BackendPort | None: ...
    @property
    def broker(self) -> Broker | None: ...


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

    def cluster(self) -> ClusterFigures | None:
        """None: there is no broker."""
        ...
