"""What becomes of noted traces when the exporter is slow, and how failures are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from wsprism.adapters.telemetry import tracing
from wsprism.adapters.telemetry.otlp import QUIET_S, Failures
from wsprism.adapters.telemetry.tracing import Tracing
from wsprism.protocol.traces import MessageTrace
from wsprism.realtime.counters import GatewayCounters


class Slow(SpanExporter):
    """Exports nothing before ``release`` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.release.wait(60)
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def message() -> MessageTrace:
    return MessageTrace(
        "t", "f" * 32, None, clock_ns=lambda: 1, wall_ns=1, on_dispatched=lambda _: None, on_done=lambda _: None
    )


def keep(exporter: SpanExporter) -> Callable[[Callable[[int], None]], SpanExporter]:
    return lambda _: exporter


async def test_what_waits_is_bounded_and_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MOST_TRACES", 10)
    exporter, counters = Slow(), GatewayCounters()
    exporter.release.set()
    traces = Tracing(keep(exporter), counters)
    for _ in range(25):
        traces.message_done(message())
    assert counters.traces_dropped == 15
    await traces.close()
    assert exporter.names == ["message"] * 10


async def test_a_trace_that_finds_no_room_as_spans_is_dropped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, counters = Slow(), GatewayCounters()
    traces = Tracing(keep(exporter), counters)
    monkeypatch.setattr(tracing, "MOST_SPANS", 5)
    long = message()
    for stage in ("policy", "service"):
        long.mark(stage)
    traces.message_done(long)
    traces.message_done(long)
    await traces._hand_over()
    assert counters.traces_dropped == 1
    exporter.release.set()
    await traces.close()
    assert sorted(exporter.names) == ["message", "policy", "service"]


async def test_an_exporter_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "SHUTDOWN_TIMEOUT_S", 0.05)
    exporter = Slow()
    traces = Tracing(keep(exporter), GatewayCounters())
    traces.message_done(message())
    await traces.close()
    assert not exporter.names
    exporter.release.set()


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
    exporter, counters = Slow(), GatewayCounters()
    exporter.release.set()
    traces = Tracing(keep(exporter), counters)
    odd = message()
    odd.parent = object()  # type: ignore[assignment]
    for trace in (message(), odd, message()):
        traces.message_done(trace)
    await traces._hand_over()
    assert counters.traces_dropped == 1
    traces.message_done(message())
    await traces.close()
    assert exporter.names == ["message"] * 3
    assert "a trace could not be made" in caplog.text


async def test_tracing_goes_on_after_no_thread_could_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, counters = Slow(), GatewayCounters()
    exporter.release.set()
    traces = Tracing(keep(exporter), counters)

    async def none(*_: object) -> int:
        counters.traces_dropped += 5  # somebody else counts meanwhile
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(tracing, "in_thread", none)
        traces.message_done(message())
        await traces._hand_over()
    assert counters.traces_dropped == 6
    traces.message_done(message())
    await traces._hand_over()
    await traces.close()
    assert exporter.names == ["message"]
