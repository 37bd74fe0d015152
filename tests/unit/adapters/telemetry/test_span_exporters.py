"""Encoded spans leave through the SDK's exporters: what a collector gets, and what becomes of its refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tests.otlp_receiver import RECEIVERS
from wsprism.adapters.telemetry.encoded import EncodedSpans, Teller
from wsprism.adapters.telemetry.encoded_http import HttpExporter
from wsprism.adapters.telemetry.otlp import Failures, resource, span_exporter
from wsprism.protocol.otlp_spans import message_spans
from wsprism.protocol.traces import MessageTrace

PROTOCOLS = sorted(RECEIVERS)


def spans() -> EncodedSpans:
    trace = MessageTrace(
        "t", "f" * 32, None, clock_ns=lambda: 1, wall_ns=1, on_dispatched=lambda _: None, on_done=lambda _: None
    )
    trace.mark("policy")
    return EncodedSpans(Teller(resource("eu-1"), InstrumentationScope("wsprism", "1")), [message_spans(trace)], 2)


@contextlib.asynccontextmanager
async def exporting(endpoint: str, protocol: str, counts: dict[str, int]) -> AsyncIterator[SpanExporter]:
    exporter = span_exporter(endpoint, protocol, {"x-key": "of the collector"}, Failures(counts))
    try:
        yield exporter
    finally:
        await asyncio.to_thread(exporter.shutdown)


@contextlib.asynccontextmanager
async def answering(*statuses: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A collector that answers with ``statuses``, one after the other; its endpoint, and what it was sent."""
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=statuses[len(bodies) - 1], headers={"retry-after": "0"})

    application = web.Application()
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", bodies
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("compression", ["", "gzip"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_bytes_arrive_as_the_sdk_s_own_spans_do(
    protocol: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compression:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression)
    counts = {"traces": 0}
    async with RECEIVERS[protocol]() as received, exporting(received.endpoint, protocol, counts) as exporter:
        batch = spans()
        for one in (batch, list(batch)):
            assert await asyncio.to_thread(exporter.export, one) is SpanExportResult.SUCCESS
            assert received.headers["x-key"] == "of the collector"
            if protocol == "http":
                assert received.headers.get("Content-Encoding", "") == compression
        first, second = received.traces
        assert first == second
        assert [span.name for span in received.spans()] == ["policy", "message"] * 2
        assert counts == {"traces": 0}


async def test_an_exporter_that_sends_bytes_in_another_way_than_we_know_is_given_spans() -> None:
    async with RECEIVERS["http"]() as received:
        exporter = HttpExporter(f"{received.endpoint}/v1/traces", {}, 5.0)
        exporter._send = lambda: None  # type: ignore[assignment]
        batch = spans()
        for _ in range(2):
            assert await asyncio.to_thread(exporter.export, batch) is SpanExportResult.SUCCESS
        assert [request.SerializeToString() for request in received.traces] == [
            received.traces[0].SerializeToString()
        ] * 2
        assert [span.name for span in received.spans()] == ["policy", "message"] * 2
        await asyncio.to_thread(exporter.shutdown)


async def test_what_a_collector_refuses_for_a_moment_is_sent_again() -> None:
    counts = {"traces": 0}
    async with answering(503, 429, 200) as (endpoint, bodies), exporting(endpoint, "http", counts) as exporter:
        batch = spans()
        assert await asyncio.to_thread(exporter.export, batch) is SpanExportResult.SUCCESS
        assert bodies == [batch.request] * 3
        assert counts == {"traces": 0}


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_what_a_collector_does_not_want_is_a_failure_at_once(status: int) -> None:
    counts = {"traces": 0}
    async with answering(status) as (endpoint, bodies), exporting(endpoint, "http", counts) as exporter:
        assert await asyncio.to_thread(exporter.export, spans()) is SpanExportResult.FAILURE
        assert len(bodies) == 1
        assert counts == {"traces": 1}
