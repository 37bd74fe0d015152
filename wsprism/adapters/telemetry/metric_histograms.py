"""Adds the gateway's histograms to what OpenTelemetry exports: it has no observable instrument for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)

from wsprism.adapters.telemetry.metric_rows import HISTOGRAM_ROWS
from wsprism.adapters.telemetry.metric_snapshot import HistogramPoint, Snapshot

__all__ = ["HistogramExporter"]


class HistogramExporter(MetricExporter):
    """Hands everything on to ``exporter``, with the histograms of ``snapshot()`` (of the calling thread) besides."""

    def __init__(self, exporter: MetricExporter, snapshot: Callable[[], Snapshot]) -> None:
        super().__init__()
        self._exporter = exporter
        self._snapshot = snapshot
        self._began_ns = time.time_ns()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        (of_gateway,) = metrics_data.resource_metrics
        (scope,) = of_gateway.scope_metrics
        scope = replace(scope, metrics=[*scope.metrics, *self._histograms()])
        whole = MetricsData([replace(of_gateway, scope_metrics=[scope])])
        return self._exporter.export(whole, timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)

    def _histograms(self) -> list[Metric]:
        points = self._snapshot().histograms
        now_ns = time.time_ns()
        return [
            Metric(
                row.name,
                row.help,
                "s",
                Histogram([self._point(one, now_ns) for one in points[row.name]], AggregationTemporality.CUMULATIVE),
            )
            for row in HISTOGRAM_ROWS
            if row.name in points
        ]

    def _point(self, point: HistogramPoint, now_ns: int) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=point.labels,
            start_time_unix_nano=self._began_ns,
            time_unix_nano=now_ns,
            count=sum(point.counts),
            sum=point.sum_s,
            bucket_counts=list(point.counts),
            explicit_bounds=list(point.bounds_s),
            min=None,  # type: ignore[arg-type]  # not known; both are optional in OTLP
            max=None,  # type: ignore[arg-type]
        )
