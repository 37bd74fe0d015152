"""Metrics and traces for the outside: the only place that knows OpenTelemetry."""
