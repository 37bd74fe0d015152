"""Metrics through OpenTelemetry: observable instruments over the gateway's own integers.

``/metrics`` (Prometheus) and OTLP are two readers of one provider. Figures are copied on the event loop; collecting,
rendering and exporting them happens in threads of their own, each with the copy that it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter, ObservableGauge
from opentelemetry.sdk.metrics.export import (
    CardinalityLimits,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from wsprism import __version__
from wsprism.adapters.telemetry.metric_histograms import HistogramExporter
from wsprism.adapters.telemetry.metric_rows import ACTOR_ROWS, GATEWAY_ROWS, HISTOGRAM_ROWS, TENANT_ROWS, Row
from wsprism.adapters.telemetry.metric_snapshot import Snapshot, take_snapshot
from wsprism.adapters.telemetry.otlp import SHUTDOWN_TIMEOUT_S, resource
from wsprism.adapters.threads import in_thread
from wsprism.realtime.view import GatewayView

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_log = logging.getLogger("wsprism.telemetry")

_UNBOUNDED: Final[CardinalityLimits] = {ObservableCounter: 2**31, ObservableGauge: 2**31}
"""Series are bounded by the configuration; the library's own bound of 2,000 a metric would cut 100 tenants off."""


class Metrics:
    """Owns the meter provider of one gateway. ``exporter`` gets everything every ``interval_s`` seconds, once started.

    ``node`` is what operators call this process. Only the event loop calls it.
    """

    def __init__(
        self, view: GatewayView, exporter: MetricExporter | None = None, interval_s: float = 15.0, node: str = ""
    ) -> None:
        self._view = view
        self._interval_s = interval_s
        self._copy = threading.local()
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [
            PrometheusMetricReader(
                registry=self._registry,
                scope_info_enabled=False,
                disable_target_info=True,
                cardinality_limits=_UNBOUNDED,
            )
        ]
        self._registry.register(_Histograms(self._snapshot))
        ProcessCollector(registry=self._registry)
        self._exporting: MetricReader | None = None
        if exporter is not None:
            self._exporting = PeriodicExportingMetricReader(
                HistogramExporter(exporter, self._snapshot), math.inf, cardinality_limits=_UNBOUNDED
            )
            readers.append(self._exporting)
        self._provider = MeterProvider(metric_readers=readers, resource=resource(node), shutdown_on_exit=False)
        self._register(self._provider.get_meter("wsprism", __version__))
        self._rendering: asyncio.Task[bytes] | None = None
        self._exports: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to export, if there is an exporter."""
        if self._exporting is not None:
            self._exports = asyncio.create_task(self._export_for_ever(self._exporting))

    async def render(self) -> bytes:
        """All metrics in Prometheus' text format. Requests that come while it is under way get the same answer."""
        if self._rendering is None:
            self._rendering = asyncio.create_task(self._render())
            self._rendering.add_done_callback(self._rendered)
        return await asyncio.shield(self._rendering)

    async def close(self) -> None:
        """Export once more and stop, within ``SHUTDOWN_TIMEOUT_S``; nothing is exported afterwards."""
        if self._exports is not None:
            self._exports.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._exports
        snapshot = await take_snapshot(self._view)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await in_thread(lambda: self._shut_down(snapshot), "wsprism-metrics-shutdown")

    async def _render(self) -> bytes:
        snapshot = await take_snapshot(self._view)
        return await in_thread(lambda: self._generate(snapshot), "wsprism-metrics")

    def _rendered(self, _: asyncio.Task[bytes]) -> None:
        self._rendering = None

    async def _export_for_ever(self, reader: MetricReader) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                snapshot = await take_snapshot(self._view)
                await in_thread(lambda: self._export(reader, snapshot), "wsprism-metrics-export")  # noqa: B023
            except Exception as error:  # one export that went wrong is not the end of all others
                _log.warning("metrics could not be exported", extra={"error": repr(error)})

    # In a thread of their own

    def _generate(self, snapshot: Snapshot) -> bytes:
        self._copy.snapshot = snapshot
        return generate_latest(self._registry)

    def _export(self, reader: MetricReader, snapshot: Snapshot) -> None:
        self._copy.snapshot = snapshot
        reader.collect()

    def _shut_down(self, snapshot: Snapshot) -> None:
        if self._exporting is not None:
            self._export(self._exporting, snapshot)
        self._provider.shutdown()

    def _snapshot(self) -> Snapshot:
        """What the running thread was given; nothing elsewhere (a library that looks when something registers)."""
        snapshot: Snapshot = getattr(self._copy, "snapshot", _NOTHING)
        return snapshot

    def _register(self, meter: Meter) -> None:
        rows: tuple[Row[Any], ...] = (*TENANT_ROWS, *GATEWAY_ROWS, *ACTOR_ROWS)
        for row in rows:
            create = meter.create_observable_counter if row.kind == "counter" else meter.create_observable_gauge
            create(row.name, [self._observe(row.name)], unit=row.unit, description=row.help)

    def _observe(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for value, labels in self._snapshot().points.get(name, ()):
                yield Observation(value, labels)

        return observe


_NOTHING: Final = Snapshot()


class _Histograms(Collector):
    """The histograms of a snapshot, as Prometheus wants them."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[HistogramMetricFamily]:
        points = self._snapshot().histograms
        for row in HISTOGRAM_ROWS:
            found = points.get(row.name, [])
            family = HistogramMetricFamily(
                row.name, row.help, labels=list(found[0].labels) if found else [], unit="seconds"
            )
            for point in found:
                total = 0
                buckets: list[tuple[str, float]] = []
                for bound_s, count in zip((*point.bounds_s, math.inf), point.counts, strict=True):
                    total += count
                    buckets.append(("+Inf" if bound_s == math.inf else str(bound_s), total))
                family.add_metric(list(point.labels.values()), buckets, point.sum_s)
            yield family
