"""The SDK's OTLP exporter over gRPC, for spans that are encoded already."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from wsprism.adapters.telemetry.encoded import EncodedSpans

__all__ = ["GrpcExporter"]


class GrpcExporter(OTLPSpanExporter):
    """An SDK that does not ask ``_translate_data`` encodes the spans itself."""

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        if not isinstance(data, EncodedSpans):
            return super()._translate_data(data)
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(data.request)
        return request
