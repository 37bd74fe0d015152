"""The SDK's OTLP exporter over HTTP, its headers, compression and retries, for spans that are encoded already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from wsprism.adapters.telemetry.encoded import EncodedSpans

__all__ = ["HttpExporter"]


class HttpExporter(OTLPSpanExporter):
    """What sends bytes is inside the SDK's exporter and may change with it: then spans go in by the front door."""

    def __init__(self, endpoint: str, headers: dict[str, str], timeout_s: float) -> None:
        super().__init__(endpoint, headers=headers, timeout=timeout_s)
        self._send: Callable[[bytes], Any] | None = getattr(getattr(self, "_client", None), "export", None)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._send is not None and isinstance(spans, EncodedSpans):
            try:
                return SpanExportResult.SUCCESS if self._send(spans.request).success else SpanExportResult.FAILURE
            except (AttributeError, TypeError):  # not as we know it
                self._send = None
        return super().export(spans)
