"""From settings to the exporters of traces and metrics. Called by the composition root."""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import MetricExporter

from wsprism.adapters.telemetry.otlp import Failures, metric_exporter, span_exporter
from wsprism.adapters.telemetry.tracing import Tracing
from wsprism.realtime.counters import GatewayCounters
from wsprism.settings import GatewaySettings

__all__ = ["build_telemetry"]


def build_telemetry(
    gateway: GatewaySettings, counters: GatewayCounters, node: str
) -> tuple[Tracing | None, MetricExporter | None]:
    """What exports traces, and what exports metrics besides ``/metrics``; None for what is not configured. ``node`` is
    what operators call this process.
    """
    failures = Failures(counters.exports_failed)
    tracing = None
    settings = gateway.tracing
    endpoint = settings.endpoint
    if endpoint is not None:
        headers = {name: secret.get_secret_value() for name, secret in settings.headers.items()}
        tracing = Tracing(span_exporter(endpoint, settings.protocol, headers, failures), counters, node)
    to = gateway.metrics.otlp_endpoint
    return tracing, metric_exporter(to, failures) if to is not None else None
