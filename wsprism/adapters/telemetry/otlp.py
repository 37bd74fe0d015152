"""Exporters to an OpenTelemetry collector: over HTTP or gRPC, impatient, and quiet when it is not there.

Their calls block, so they run in threads of telemetry only. A failed export is counted, and said once a minute at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from wsprism import __version__

__all__ = ["SHUTDOWN_TIMEOUT_S", "Failures", "metric_exporter", "resource", "span_exporter"]

_log = logging.getLogger("wsprism.telemetry")

EXPORT_TIMEOUT_S: Final = 5.0
SHUTDOWN_TIMEOUT_S: Final = 2.0
"""How long the end of the process waits for telemetry to leave."""

QUIET_S: Final = 60.0


def resource(node: str = "") -> Resource:
    """Who it is that tells. ``node`` is what operators call it; its ``service.instance.id`` is the library's."""
    of_node = {"wsprism.node": node} if node else {}
    return Resource.create({"service.name": "wsprism", "service.version": __version__} | of_node)


class Failures:
    """Counts failed exports in ``counts`` and says so, at most once a minute for each signal. Called from threads."""

    def __init__(self, counts: dict[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self._lock = threading.Lock()
        # They tell of every attempt, some with tracebacks; what matters of that is said here.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def note(self, signal: str, endpoint: str) -> None:
        """An export of ``signal`` has failed."""
        with self._lock:
            self._counts[signal] += 1
            now = self._clock()
            if now < self._quiet_until.get(signal, -QUIET_S):
                return
            self._quiet_until[signal] = now + QUIET_S
            failed = self._counts[signal]
        _log.warning(
            "telemetry could not be exported", extra={"signal": signal, "endpoint": endpoint, "failed_exports": failed}
        )


def span_exporter(endpoint: str, protocol: str, headers: Mapping[str, str], failures: Failures) -> SpanExporter:
    """For traces. ``endpoint``: for ``http`` a base URL, for ``grpc`` a host:port (or a URL: https means TLS)."""
    inner: SpanExporter
    if protocol == "grpc":
        from wsprism.adapters.telemetry.encoded_grpc import GrpcExporter

        inner = GrpcExporter(**_grpc(endpoint, headers))
    else:
        from wsprism.adapters.telemetry.encoded_http import HttpExporter

        inner = HttpExporter(_url(endpoint, "traces"), dict(headers), EXPORT_TIMEOUT_S)
    return _Spans(inner, lambda: failures.note("traces", endpoint))


def metric_exporter(endpoint: str, failures: Failures) -> MetricExporter:
    """For metrics: over HTTP when ``endpoint`` is a URL, over gRPC when it is a host:port."""
    inner: MetricExporter
    if "://" in endpoint:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

        inner = Http(_url(endpoint, "metrics"), timeout=EXPORT_TIMEOUT_S)
    else:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        inner = Grpc(**_grpc(endpoint, {}))
    return _Metrics(inner, lambda: failures.note("metrics", endpoint))


def _url(base: str, signal: str) -> str:
    return f"{base.rstrip('/')}/v1/{signal}"


def _grpc(endpoint: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "insecure": not endpoint.startswith("https://"),
        "headers": {name.lower(): value for name, value in headers.items()} or None,
        "timeout": EXPORT_TIMEOUT_S,
    }


class _Spans(SpanExporter):
    def __init__(self, inner: SpanExporter, on_failure: Callable[[], None]) -> None:
        self._inner = inner
        self._on_failure = on_failure

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._on_failure()
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _Metrics(MetricExporter):
    def __init__(self, inner: MetricExporter, on_failure: Callable[[], None]) -> None:
        super().__init__()
        self._inner = inner
        self._on_failure = on_failure

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            self._on_failure()
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._inner.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._inner.force_flush(timeout_millis)
