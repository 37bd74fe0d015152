"""What becomes of noted traces when the exporter is slow, and how failures are told."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.client import until
from wsprism.adapters.telemetry import tracing
from wsprism.adapters.telemetry.otlp import QUIET_S, Failures
from wsprism.adapters.telemetry.tracing import Tracing
from wsprism.protocol.otlp_spans import message_spans
from wsprism.protocol.traces import MessageTrace
from wsprism.realtime.counters import GatewayCounters


class Slow(SpanExporter):
    """Exports nothing before ``release`` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        self.batches: list[list[str]] = []
        self.ended = threading.Event()

    @property
    def names(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.release()
        self.release.wait(60)
        self.batches.append([span.name for span in spans])
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.ended.set()


class Quick(Slow):
    def __init__(self) -> None:
        super().__init__()
        self.release.set()


def message(*stages: str) -> MessageTrace:
    trace = MessageTrace(
        "t", "f" * 32, None, clock_ns=lambda: 1, wall_ns=1, on_dispatched=lambda _: None, on_done=lambda _: None
    )
    for stage in stages:
        trace.mark(stage)
    return trace


async def test_spans_that_wait_are_bounded_and_a_trace_that_does_not_fit_is_dropped_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "MOST_SPANS", 5)
    exporter, counters = Quick(), GatewayCounters()
    traces = Tracing(exporter, counters)
    for _ in range(3):
        traces.message_done(message("policy", "service"))
    traces.message_done(message())
    assert counters.traces_dropped == 2
    await traces.close()
    assert exporter.names == ["policy", "service", "message", "message"]
    assert exporter.ended.is_set()


async def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MOST_BYTES", 1)
    exporter, counters = Quick(), GatewayCounters()
    traces = Tracing(exporter, counters)
    for _ in range(3):
        traces.message_done(message())
    assert counters.traces_dropped == 2
    await traces.close()
    assert exporter.names == ["message"]


async def test_what_is_being_exported_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MOST_SPANS", 2)
    exporter, counters = Slow(), GatewayCounters()
    traces = Tracing(exporter, counters)
    for _ in range(3):
        traces.message_done(message())
    assert counters.traces_dropped == 1
    await until(lambda: exporter.begun.acquire(blocking=False))
    for _ in range(3):
        traces.message_done(message())
    assert counters.traces_dropped == 2
    exporter.release.set()
    await traces.close()
    assert [len(batch) for batch in exporter.batches] == [2, 2]


ONE_BYTES = len(message_spans(message("policy")))


@pytest.mark.parametrize(("bound", "value"), [("MOST_SPANS_IN_EXPORT", 4), ("MOST_BYTES_IN_EXPORT", ONE_BYTES + 1)])
async def test_a_batch_leaves_as_soon_as_it_is_large(monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(tracing, bound, value)
    monkeypatch.setattr(tracing, "HAND_OVER_S", 3600)
    exporter = Quick()
    traces = Tracing(exporter, GatewayCounters())
    for _ in range(5):
        traces.message_done(message("policy"))
    await until(lambda: len(exporter.batches) == 2)
    assert [len(batch) for batch in exporter.batches] == [4, 4]
    await traces.close()
    assert [len(batch) for batch in exporter.batches] == [4, 4, 2]


async def test_an_exporter_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "SHUTDOWN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(tracing, "MOST_SPANS_IN_EXPORT", 1)
    exporter = Slow()
    traces = Tracing(exporter, GatewayCounters())
    traces.message_done(message())
    traces.message_done(message())
    await until(lambda: exporter.begun.acquire(blocking=False))
    await traces.close()
    assert not exporter.names
    exporter.release.set()
    await until(exporter.ended.is_set)
    assert exporter.names == ["message"]  # what had begun; the rest is given up


def test_failures_are_counted_and_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    counts, now_s = {"traces": 0, "metrics": 0}, [100.0]
    failures = Failures(counts, lambda: now_s[0])
    for _ in range(3):
        failures.note("traces", "http://collector")
    failures.note("metrics", "http://collector")
    now_s[0] += QUIET_S
    failures.note("traces", "http://collector")
    assert counts == {"traces": 4, "metrics": 1}
    said = [(record.__dict__["signal"], record.__dict__["failed_exports"]) for record in caplog.records]
    assert said == [("traces", 1), ("metrics", 1), ("traces", 4)]


async def test_a_trace_that_cannot_be_told_is_lost_alone(caplog: pytest.LogCaptureFixture) -> None:
    exporter, counters = Quick(), GatewayCounters()
    traces = Tracing(exporter, counters)
    odd = message()
    odd.parent = object()  # type: ignore[assignment]
    for trace in (message(), odd, odd, message()):
        traces.message_done(trace)
    assert counters.traces_dropped == 2
    await traces.close()
    assert exporter.names == ["message"] * 2
    assert "a trace could not be made" in caplog.text


async def test_an_exporter_that_raises_is_asked_again() -> None:
    class Broken(Quick):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            super().export(spans)
            raise RuntimeError("broken")

    exporter = Broken()
    traces = Tracing(exporter, GatewayCounters())
    traces.message_done(message())
    await until(lambda: len(exporter.batches) == 1)
    traces.message_done(message())
    await traces.close()
    assert exporter.names == ["message"] * 2
    assert exporter.ended.is_set()


async def test_whoever_traces_http_calls_leaves_exports_alone() -> None:
    suppressed = []

    class Looking(Quick):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            suppressed.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
            return super().export(spans)

    traces = Tracing(Looking(), GatewayCounters())
    traces.message_done(message())
    await traces.close()
    assert suppressed == [True]
