"""An OpenTelemetry collector as far as tests need one: takes OTLP over HTTP or gRPC and keeps what it was sent."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc  # type: ignore[import-untyped]
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

__all__ = ["RECEIVERS", "Received", "attributes", "otlp_grpc", "otlp_http"]


@dataclass
class Received:
    """What came in: requests as they are on the wire, decoded; and the headers (gRPC: metadata) of the last one."""

    endpoint: str
    traces: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    def spans(self) -> list[Any]:
        """All spans so far."""
        return [
            span
            for request in self.traces
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def tellers(self) -> list[dict[str, Any]]:
        """Of each export of metrics so far, and of each of traces, who told it: the attributes of its resource."""
        of_metrics = [one.resource for request in self.metrics for one in request.resource_metrics]
        of_traces = [one.resource for request in self.traces for one in request.resource_spans]
        return [attributes(one) for one in of_metrics + of_traces]

    def metrics_by_name(self) -> dict[str, Any]:
        """The metrics of the last export."""
        if not self.metrics:
            return {}
        return {
            metric.name: metric
            for of_resource in self.metrics[-1].resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        }


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a data point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@contextlib.asynccontextmanager
async def otlp_http() -> AsyncIterator[Received]:
    """OTLP over HTTP with protobuf bodies."""
    received = Received("")

    async def traces(request: web.Request) -> web.Response:
        received.headers = dict(request.headers)
        received.traces.append(trace_service.ExportTraceServiceRequest.FromString(await request.read()))
        return _answer(trace_service.ExportTraceServiceResponse())

    async def metrics(request: web.Request) -> web.Response:
        received.metrics.append(metrics_service.ExportMetricsServiceRequest.FromString(await request.read()))
        return _answer(metrics_service.ExportMetricsServiceResponse())

    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/traces", traces)
    application.router.add_post("/v1/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    received.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield received
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def otlp_grpc() -> AsyncIterator[Received]:
    """OTLP over gRPC: the services of opentelemetry-proto."""
    received = Received("")

    class Traces(trace_grpc.TraceServiceServicer):
        async def Export(self, request: Any, context: Any) -> Any:
            received.headers = dict(context.invocation_metadata())
            received.traces.append(request)
            return trace_service.ExportTraceServiceResponse()

    class Metrics(metrics_grpc.MetricsServiceServicer):
        async def Export(self, request: Any, _: Any) -> Any:
            received.metrics.append(request)
            return metrics_service.ExportMetricsServiceResponse()

    server = grpc.aio.server()
    trace_grpc.add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
    received.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield received
    finally:
        await server.stop(None)


def _answer(message: Any) -> web.Response:
    return web.Response(body=message.SerializeToString(), content_type="application/x-protobuf")


RECEIVERS: Mapping[str, Callable[[], contextlib.AbstractAsyncContextManager[Received]]] = {
    "http": otlp_http,
    "grpc": otlp_grpc,
}
