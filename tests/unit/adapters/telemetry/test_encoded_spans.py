"""A collector receives what the SDK's own encoder would have said, for every shape of span."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tests.sdk_spans import by_the_sdk
from wsprism.adapters.telemetry.encoded import EncodedSpans, Teller
from wsprism.adapters.telemetry.otlp import resource
from wsprism.protocol.otlp_spans import call_span, connection_span, message_spans
from wsprism.protocol.trace import TraceParent
from wsprism.protocol.traces import MAX_EVENTS, CallTrace, ConnectionTrace, MessageTrace, SpanRef

Trace = MessageTrace | ConnectionTrace | CallTrace

WALL_NS = 1_790_000_000_000_000_000
SCOPE = InstrumentationScope("wsprism", "1.2.3")
PARENT = TraceParent("c" * 32, "d" * 16, True)
CONNECTION = SpanRef("a" * 32, "b" * 16)


def refs(count: int) -> list[SpanRef]:
    return [SpanRef(f"{number:032x}", f"{number:016x}") for number in range(1, count + 1)]


def message(*, parent: TraceParent | None = None, connection: SpanRef | None = None) -> MessageTrace:
    ticks = itertools.count(5_000, 1_234)
    trace = MessageTrace(
        "acme",
        "f" * 32,
        connection,
        clock_ns=lambda: next(ticks),
        wall_ns=WALL_NS,
        on_dispatched=lambda _: None,
        on_done=lambda _: None,
        traced=True,
    )
    trace.parent = parent
    return trace


def hot() -> MessageTrace:
    trace = message(connection=CONNECTION)
    trace.lane = "hot"
    trace.mark("policy", service="7", opcode=0)
    trace.mark("service", service="7", opcode=1)
    trace.handed_on = True
    trace.dispatched()
    trace.mark("room")
    trace.mark("enqueue", **{"class": "critical", "members": 10_000})
    trace.links = [CONNECTION, *refs(128)]
    trace.written("written")
    return trace


def ext() -> MessageTrace:
    trace = message(parent=PARENT)
    trace.mark("policy")
    trace.mark("service", service="chat", type="send")
    trace.links = refs(2)
    trace.dispatched()
    return trace


def asked_about() -> MessageTrace:
    trace = message(parent=PARENT, connection=CONNECTION)
    trace.span()
    return trace


def connection(parent: TraceParent | None, events: int) -> ConnectionTrace:
    ticks = itertools.count(5_000, 1_234)
    trace = ConnectionTrace(CONNECTION, parent, clock_ns=lambda: next(ticks), wall_ns=WALL_NS, on_done=lambda _: None)
    trace.note("ticket accepted")
    for number in range(events):
        trace.note("joined", room=f"room {number} ☃")
    trace.done(tenant="acme", user="user:dev", sid="", code=1000, reason="x" * 300)
    return trace


def call(result: str, others: int) -> CallTrace:
    ticks = itertools.count(5_000, 1_234)
    first, *rest = [
        CallTrace(of, clock_ns=lambda: next(ticks), now_ns=lambda: WALL_NS, on_done=lambda _: None)
        for of in refs(1 + others)
    ]
    first.begin(rest)
    first.done(kind="message", way="http", result=result, questions=1 + others)
    return first


SHAPES: dict[str, Trace] = {
    "hot message": hot(),
    "ext message": ext(),
    "message that was asked about": asked_about(),
    "message refused at once": message(),
    "connection": connection(None, 2),
    "connection with a parent": connection(PARENT, 0),
    "connection with all events": connection(PARENT, MAX_EVENTS),
    "call": call("ok", 0),
    "call that was refused": call("refused", 0),
    "call for several": call("ok", 31),
    "call that failed": call("timeout", 0),
}


def told(traces: Iterable[Trace]) -> tuple[list[bytes], int]:
    out, count = [], 0
    for trace in traces:
        if isinstance(trace, MessageTrace):
            out.append(message_spans(trace))
            count += 1 + len(trace.stages)
        else:
            out.append(connection_span(trace) if isinstance(trace, ConnectionTrace) else call_span(trace))
            count += 1
    return out, count


def exported(traces: Iterable[Trace], of: Resource | None = None) -> EncodedSpans:
    return EncodedSpans(Teller(of or resource("eu-1"), SCOPE), *told(traces))


def received(spans: EncodedSpans) -> Any:
    return ExportTraceServiceRequest.FromString(spans.request)


def names(request: Any) -> list[SpanRef]:
    spans = request.resource_spans[0].scope_spans[0].spans
    return [SpanRef(span.trace_id.hex(), span.span_id.hex()) for span in spans]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_span_is_what_the_sdk_would_have_told(shape: str) -> None:
    request = received(exported([SHAPES[shape]]))
    assert request == by_the_sdk([SHAPES[shape]], names(request), resource("eu-1"), SCOPE)


def test_spans_are_named_as_their_trace_says() -> None:
    asked = asked_about()
    request = received(exported([asked, ext(), hot(), connection(None, 0), call("ok", 0)]))
    first, *parts, connected, called = names(request)
    assert first == asked.span()
    assert first.trace_id == PARENT.trace_id
    assert {one.trace_id for one in parts[:4]} == {PARENT.trace_id}
    assert len({one.trace_id for one in parts[4:]}) == 1
    assert connected == CONNECTION
    assert called.trace_id == refs(1)[0].trace_id
    assert len({one.span_id for one in names(request)}) == len(names(request))


def test_a_batch_of_all_shapes_has_one_resource() -> None:
    node = Resource({"service.name": "wsprism", "list": ["a", "b"], "of": 1.5}, "https://schema")
    spans = exported(SHAPES.values(), node)
    request = received(spans)
    assert len(names(request)) == len(spans)
    assert request == by_the_sdk(SHAPES.values(), names(request), node, SCOPE)


def test_an_exporter_that_knows_no_bytes_gets_the_same_spans() -> None:
    spans = exported(SHAPES.values())
    assert encode_spans(spans) == received(spans)
    assert len(list(spans)) == len(spans)
    assert [one.name for one in spans[:2]] == ["policy", "service"]


VALUES = st.one_of(st.text(max_size=300), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))


@given(st.dictionaries(st.text(max_size=200), VALUES, max_size=5), st.integers(0, 2**63 - 1))
def test_whatever_an_attribute_holds_is_told_as_by_the_sdk(attributes: dict[str, Any], ended_ns: int) -> None:
    staged = message()
    staged.mark("policy")
    for name, value in attributes.items():
        staged.stages[0].attributes[name] = value
    connected = connection(None, 0)
    connected.attributes = attributes
    connected.ended_ns = ended_ns
    connected.wall_ns = connected.started_ns
    request = received(exported([staged, connected]))
    assert request == by_the_sdk([staged, connected], names(request), resource("eu-1"), SCOPE)


def test_one_and_true_and_one_point_nought_are_told_apart() -> None:
    for value in (1, True, 1.0, "1"):
        staged = message()
        staged.mark("policy", value=value)
        request = received(exported([staged]))
        assert request == by_the_sdk([staged], names(request), resource("eu-1"), SCOPE)


@pytest.mark.parametrize("value", ["half \ud800 of a pair", 2**63, -(2**63) - 1, object()])
def test_an_attribute_that_cannot_be_told_is_left_out(value: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry")
    staged, connected = message(), connection(None, 0)
    staged.mark("policy", value=value, service="7")
    connected.note("joined", room=value)
    request = received(exported([staged, connected]))
    assert request == by_the_sdk([staged, connected], names(request), resource("eu-1"), SCOPE)
