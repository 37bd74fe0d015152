"""A moment's figures, copied on the event loop so that rendering and exporting them can happen in another thread.

A tenant is copied in one synchronous step, so its account is exact; between tenants the loop has its turns.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from wsprism.adapters.telemetry.metric_rows import ACTOR_ROWS, GATEWAY_ROWS, HISTOGRAM_ROWS, TENANT_ROWS
from wsprism.realtime.view import GatewayView, TenantView

__all__ = ["HistogramPoint", "Snapshot", "take_snapshot"]

TENANTS_PER_TURN: Final = 4
"""Some 0.3 ms of the loop."""


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """One distribution: ``counts`` per bound and one for what is above all of them."""

    labels: dict[str, str]
    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Points by metric name."""

    points: dict[str, list[tuple[float, dict[str, str]]]] = field(default_factory=lambda: defaultdict(list))
    histograms: dict[str, list[HistogramPoint]] = field(default_factory=lambda: defaultdict(list))


async def take_snapshot(view: GatewayView) -> Snapshot:
    """The figures of now. Takes as many turns of the loop as there are tenants to copy."""
    snapshot = Snapshot()
    for row in GATEWAY_ROWS:
        snapshot.points[row.name] += row.read(view)
    statistics = view.actors()
    for actor_row in ACTOR_ROWS:
        snapshot.points[actor_row.name] += actor_row.read(statistics)
    for histograms in HISTOGRAM_ROWS:
        for one, labels in histograms.read(view):
            point = HistogramPoint(labels, one.bounds_s, tuple(one.counts), one.sum_s)
            snapshot.histograms[histograms.name].append(point)
    for position, tenant in enumerate(list(view.tenants()), 1):
        _copy_tenant(tenant, snapshot)
        if position % TENANTS_PER_TURN == 0:
            await asyncio.sleep(0)
    return snapshot


def _copy_tenant(tenant: TenantView, snapshot: Snapshot) -> None:
    for row in TENANT_ROWS:
        snapshot.points[row.name] += row.read(tenant)
