"""Traces and metrics reach an OpenTelemetry collector, over HTTP and over gRPC; one that is down holds nobody up."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from tests.client import Client, until
from tests.components import free_port
from tests.conftest import StartGateway
from tests.otlp_receiver import RECEIVERS, Received, attributes
from tests.workers import workers
from wsprism.adapters.telemetry.otlp import SHUTDOWN_TIMEOUT_S

PROTOCOLS = sorted(RECEIVERS)
STAGES = ["policy", "service", "dispatch", "room", "enqueue", "write"]
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def tracing(received: Received, protocol: str, **more: object) -> dict[str, object]:
    return {"tracing": {"endpoint": received.endpoint, "protocol": protocol, "sample_ratio": 1, **more}}


async def a_conversation(base: str) -> str:
    """Join and chat; the connection's trace id."""
    async with Client(base, headers={"traceparent": PARENT}) as ann:
        await ann.join("lobby")
        await ann.send("chat", "send", {"msg": "a secret between us"}, trace=f"00-{'c' * 32}-{'d' * 16}-01")
        await ann.receive()
        return str(ann.authed["trace_id"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_message_s_way_and_a_connection_s_life_are_traced(start_gateway: StartGateway, protocol: str) -> None:
    async with RECEIVERS[protocol]() as received:
        gateway = await start_gateway(gateway=tracing(received, protocol, headers={"x-key": "of the collector"}))
        trace_id = await a_conversation(gateway.base)
        await until(lambda: any(span.name == "connection" for span in received.spans()))
        spans = received.spans()
        (connection,) = [span for span in spans if span.name == "connection"]
        assert connection.trace_id.hex() == trace_id == "a" * 32
        assert connection.parent_span_id.hex() == "b" * 16
        assert [event.name for event in connection.events] == ["ticket accepted", "opened", "joined"]
        assert attributes(connection)["wsprism.user"] == "user:dev"
        (chat,) = [span for span in spans if span.trace_id.hex() == "c" * 32 and span.name == "message"]
        assert chat.parent_span_id.hex() == "d" * 16
        assert attributes(chat)["wsprism.outcome"] == "written"
        assert [link.span_id for link in chat.links] == [connection.span_id]
        parts = [span for span in spans if span.parent_span_id == chat.span_id]
        assert [part.name for part in parts] == STAGES
        times = [chat.start_time_unix_nano]
        times += [moment for part in parts for moment in (part.start_time_unix_nano, part.end_time_unix_nano)]
        times += [chat.end_time_unix_nano]
        assert times == sorted(times)
        assert abs(chat.start_time_unix_nano / 1e9 - time.time()) < 60
        assert received.headers["x-key"] == "of the collector"
        assert "a secret between us" not in str(received.traces)
        await gateway.process.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_metrics_are_exported_with_their_histograms(start_gateway: StartGateway, protocol: str) -> None:
    async with RECEIVERS[protocol]() as received:
        gateway = await start_gateway(gateway={"metrics": {"otlp_endpoint": received.endpoint, "interval_s": 1}})
        async with Client(gateway.base):
            await until(lambda: "wsprism_handshake_duration" in received.metrics_by_name())  # not so in an earlier one
            exported = received.metrics_by_name()
            (sessions,) = exported["wsprism_sessions"].gauge.data_points
            assert (sessions.as_int, attributes(sessions)) == (1, {"tenant": "acme"})
            assert exported["wsprism_handshakes_accepted"].sum.is_monotonic
            (handshakes,) = exported["wsprism_handshake_duration"].histogram.data_points
            assert handshakes.count == 1
            assert handshakes.explicit_bounds[0] < 0.001
            assert len(handshakes.bucket_counts) == len(handshakes.explicit_bounds) + 1
            assert exported["wsprism_handshake_duration"].unit == "s"
        await gateway.process.stop()


async def test_every_export_says_which_node_it_is_of(start_gateway: StartGateway) -> None:
    async with RECEIVERS["http"]() as received:
        to = {"metrics": {"otlp_endpoint": received.endpoint, "interval_s": 3600}, "node": {"name": "eu-1"}}
        gateway = await start_gateway(gateway=tracing(received, "http") | to)
        await a_conversation(gateway.base)
        await gateway.process.stop()
        assert received.metrics
        assert received.traces
        assert {one["wsprism.node"] for one in received.tellers()} == {"eu-1"}
        assert len({one["service.instance.id"] for one in received.tellers()}) == 1


async def test_each_worker_is_an_instance_of_its_own(tmp_path: Path) -> None:
    async with RECEIVERS["http"]() as received:
        metrics = f'{{otlp_endpoint: "{received.endpoint}", interval_s: 1}}'
        async with workers(tmp_path, 2, metrics=metrics):
            await until(lambda: len({one["wsprism.node"] for one in received.tellers()}) == 2)
        tellers = {(one["wsprism.node"], one["service.instance.id"]) for one in received.tellers()}
        assert {node for node, _ in tellers} == {"eu-1", "eu-2"}
        assert len({instance for _, instance in tellers}) == 2


async def test_what_is_left_is_exported_at_the_end(start_gateway: StartGateway) -> None:
    async with RECEIVERS["http"]() as received:
        gateway = await start_gateway(
            gateway=tracing(received, "http") | {"metrics": {"otlp_endpoint": received.endpoint, "interval_s": 3600}}
        )
        await a_conversation(gateway.base)
        await gateway.process.stop()
        assert "connection" in {span.name for span in received.spans()}
        assert "wsprism_sessions_opened" in received.metrics_by_name()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_collector_that_is_down_holds_nobody_up_and_is_said_once(
    start_gateway: StartGateway, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    where = f"127.0.0.1:{free_port()}"
    endpoint = f"http://{where}" if protocol == "http" else where
    gateway = await start_gateway(
        gateway={
            "tracing": {"endpoint": endpoint, "protocol": protocol, "sample_ratio": 1},
            "metrics": {"otlp_endpoint": endpoint, "interval_s": 1},
        }
    )
    await a_conversation(gateway.base)
    failed = gateway.process.counters.exports_failed
    await until(lambda: failed["metrics"] > 0 and failed["traces"] > 0, timeout_s=60)
    async with asyncio.timeout(SHUTDOWN_TIMEOUT_S + 6):  # less than an exporter would try on its own
        await gateway.process.stop()
    said = [record for record in caplog.records if record.name == "wsprism.telemetry"]
    assert sorted(getattr(record, "signal", "") for record in said) == ["metrics", "traces"]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
