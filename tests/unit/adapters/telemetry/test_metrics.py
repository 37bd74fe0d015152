"""What ``/metrics`` says, read back with Prometheus' own parser."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors import SystemStatistics
from qos import Lane
from tests.components import program
from tests.realtime_support import Nobody, World
from wsprism.adapters.telemetry.metric_rows import ACTOR_ROWS, GATEWAY_ROWS, HISTOGRAM_ROWS, TENANT_ROWS, Row
from wsprism.adapters.telemetry.metric_snapshot import TENANTS_PER_TURN, take_snapshot
from wsprism.adapters.telemetry.metrics import Metrics
from wsprism.policy.decisions import Reason
from wsprism.protocol.websocket import CloseReceived
from wsprism.realtime.counters import GatewayCounters
from wsprism.realtime.histogram import Histogram
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.view import ClusterFigures
from wsprism.realtime.vitals import Vitals
from wsprism.transport.front.exposition import of_workers

Sample = tuple[str, frozenset[tuple[str, str]]]


class View:
    """A gateway with one tenant."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counters = GatewayCounters()
        self.is_draining = False
        self.more_tenants: list[TenantContext] = []
        self.lease_age_s: float | None = 2.5
        self.round_trips = Histogram()
        self.sampler = world.tenant.sampler
        self.flusher = world.flusher
        self.vitals = Vitals(world.scheduler)

    def tenants(self) -> list[TenantContext]:
        return [self.world.tenant, *self.more_tenants]

    def actors(self) -> SystemStatistics:
        return self.world.system.statistics()

    def connections(self) -> int:
        return self.world.connections()

    def http_connections(self) -> int:
        return 0

    def cluster(self) -> ClusterFigures:
        return ClusterFigures(
            away=True,
            live_nodes=2,
            connections_lost=3,
            fenced=1,
            reaped=4,
            differing={"eu-1": False, "eu-2": True},
            lease_s=10.0,
            lease_age_s=self.lease_age_s,
            degraded=True,
            degradations=5,
            round_trips=self.round_trips,
        )

    def draining(self) -> bool:
        return self.is_draining


@pytest.fixture
def view() -> View:
    return View(World())


@pytest.fixture
async def metrics(view: View) -> AsyncIterator[Metrics]:
    metrics = Metrics(view)
    yield metrics
    await metrics.close()


async def read(metrics: Metrics) -> dict[Sample, float]:
    families = text_string_to_metric_families((await metrics.render()).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def value(metrics: Metrics, name: str, **labels: str) -> float:
    return (await read(metrics))[name, frozenset(labels.items())]


async def test_the_figures_are_those_of_the_moment_in_which_they_are_asked(view: View, metrics: Metrics) -> None:
    assert await value(metrics, "wsprism_sessions", tenant="t") == 0
    peer = await view.world.connect()
    peer.join("lobby")
    peer.chat("hi")
    peer.say(b"\x01\x00\x00x")
    assert await value(metrics, "wsprism_sessions", tenant="t") == 1
    assert await value(metrics, "wsprism_rooms", tenant="t") == 1
    assert await value(metrics, "wsprism_connections") == 1
    assert await value(metrics, "wsprism_sessions_opened_total", tenant="t") == 1
    assert await value(metrics, "wsprism_messages_received_total", tenant="t", lane="ext") == 2
    assert await value(metrics, "wsprism_messages_received_total", tenant="t", lane="hot") == 1
    assert await value(metrics, "wsprism_service_messages_total", tenant="t", lane="ext", service="chat") == 1
    assert await value(metrics, "wsprism_service_messages_total", tenant="t", lane="hot", service="1") == 1
    assert await value(metrics, "wsprism_queue_sent_total", **{"tenant": "t", "class": "reliable"}) == 3
    peer.vanish()
    assert await value(metrics, "wsprism_sessions", tenant="t") == 0
    assert await value(metrics, "wsprism_connections_closed_total", tenant="t", code="1006") == 1


async def test_the_queues_account_adds_up_class_by_class(view: View, metrics: Metrics) -> None:
    peer = await view.world.connect()
    peer.join("lobby")
    peer.transport.fill()
    for _ in range(3):
        peer.chat("waits")
    figures = await read(metrics)
    for lane in Lane:
        labels = frozenset({"tenant": "t", "class": lane.name.lower()}.items())
        gone = [
            figures[f"wsprism_queue_{what}_total", labels] for what in ("sent", "dropped", "conflated", "discarded")
        ]
        queued = figures["wsprism_queue_depth", labels]
        assert figures["wsprism_queue_offered_total", labels] == sum(gone) + queued
    assert await value(metrics, "wsprism_queue_depth", **{"tenant": "t", "class": "reliable"}) == 2


async def test_what_belongs_to_the_process_is_there_too(view: View, metrics: Metrics) -> None:
    view.counters.handshakes_accepted = 3
    view.counters.handshakes_refused["ticket"] = 2
    view.is_draining = True
    assert await value(metrics, "wsprism_handshakes_accepted_total") == 3
    view.counters.handshakes_refused_by_tenant["acme", "ticket"] = 1
    assert await value(metrics, "wsprism_handshakes_refused_total", reason="ticket", tenant="acme") == 1
    assert await value(metrics, "wsprism_handshakes_refused_total", reason="ticket", tenant="") == 1
    assert await value(metrics, "wsprism_draining") == 1
    assert await value(metrics, "wsprism_actors") == 2


async def test_what_a_node_knows_of_its_lease_and_of_redis_is_told(view: View, metrics: Metrics) -> None:
    view.round_trips.record(0.002)
    figures = {name: value for (name, labels), value in (await read(metrics)).items() if not labels}
    assert (figures["wsprism_node_lease_age_seconds"], figures["wsprism_node_lease_seconds"]) == (2.5, 10)
    assert (figures["wsprism_degraded"], figures["wsprism_degradations_total"]) == (1, 5)
    assert figures["wsprism_redis_round_trip_seconds_sum"] == pytest.approx(0.002)
    assert figures["wsprism_redis_round_trip_seconds_count"] == 1


async def test_a_node_that_never_had_a_lease_tells_of_no_age(view: View, metrics: Metrics) -> None:
    view.lease_age_s = None
    assert not [name for name, _ in await read(metrics) if name == "wsprism_node_lease_age_seconds"]


async def test_every_reason_is_a_series_from_the_start(metrics: Metrics) -> None:
    reasons = {dict(labels)["reason"] for name, labels in await read(metrics) if name == "wsprism_decisions_total"}
    assert reasons == {reason.value for reason in Reason}


async def test_nothing_that_a_client_chose_becomes_a_label(view: View, metrics: Metrics) -> None:
    peer = await view.world.connect("evil-user", "evil-sid")
    peer.join("evil-room")
    peer.say(
        {"v": 1, "svc": "evil", "type": "evil"},
        {"v": 1, "svc": "chat", "type": "evil"},
        {"v": 1, "svc": "sys", "type": "evil"},
        b"\xee\xee\x00",
    )
    peer.event(CloseReceived(4242, "evil"))
    peer.vanish()
    text = (await metrics.render()).decode()
    assert "evil" not in text
    assert "4242" not in text
    assert "238" not in {label for _, labels in await read(metrics) for _, label in labels}


async def test_two_gateways_of_a_process_keep_their_metrics_apart(metrics: Metrics) -> None:
    other_view = View(World())
    other = Metrics(other_view)
    await other_view.world.connect()
    assert await value(other, "wsprism_sessions", tenant="t") == 1
    assert await value(metrics, "wsprism_sessions", tenant="t") == 0
    await other.close()


async def test_a_histogram_s_buckets_add_up_and_begin_below_a_millisecond(view: View, metrics: Metrics) -> None:
    for seconds in (0.0002, 0.004, 60.0):
        view.counters.handshake.record(seconds)
    figures = await read(metrics)
    name = "wsprism_handshake_duration_seconds"
    buckets = {
        float(dict(labels)["le"]): count for (found, labels), count in figures.items() if found == name + "_bucket"
    }
    assert (buckets[0.0001], buckets[0.00025], buckets[0.005], buckets[float("inf")]) == (0, 1, 2, 3)
    assert figures[name + "_count", frozenset()] == 3
    assert figures[name + "_sum", frozenset()] == pytest.approx(60.0042)
    assert list(buckets.values()) == sorted(buckets.values())


async def test_samples_are_told_by_lane_and_pauses_by_generation(view: View, metrics: Metrics) -> None:
    view.sampler.dispatch["hot"].record(0.001)
    view.vitals.gc_pause[2].record(0.01)
    assert await value(metrics, "wsprism_dispatch_duration_seconds_count", lane="hot") == 1
    assert await value(metrics, "wsprism_delivery_duration_seconds_count", lane="ext") == 0
    assert await value(metrics, "wsprism_gc_pause_seconds_count", generation="2") == 1


async def test_as_many_tenants_as_are_configured_are_told_of(view: View) -> None:
    """OpenTelemetry folds what is above 2,000 points of a metric into one."""
    rules, now = view.world.tenant.rules, view.world.scheduler.now
    view.more_tenants = [TenantContext(f"t{n}", rules, Nobody(), now) for n in range(150)]
    metrics = Metrics(view)
    figures = await read(metrics)
    assert len([name for name, _ in figures if name == "wsprism_decisions_total"]) == 151 * len(Reason)
    assert "overflow" not in str(figures.keys())
    await metrics.close()


async def test_while_many_tenants_are_copied_the_loop_has_its_turns(view: View) -> None:
    view.more_tenants = [view.world.tenant] * 99
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await take_snapshot(view)
    counting.cancel()
    assert turns >= 100 // TENANTS_PER_TURN


async def test_scrapes_at_the_same_time_share_one_rendering(metrics: Metrics) -> None:
    first, second = await asyncio.gather(metrics.render(), metrics.render())
    assert first is second
    assert await metrics.render() is not first


async def test_promtool_finds_nothing_to_complain_about(view: View, metrics: Metrics) -> None:
    peer = await view.world.connect()
    peer.join("lobby")
    peer.vanish()
    view.counters.handshakes_refused["ticket"] += 1
    promtool = await asyncio.create_subprocess_exec(
        *(program("promtool"), "check", "metrics"), stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await promtool.communicate(await metrics.render())
    assert (promtool.returncode, said.decode()) == (0, "")


async def test_the_documentation_lists_every_metric_as_it_is_served(metrics: Metrics) -> None:
    page = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text()
    documented = {
        name: (kind, frozenset(labels.replace(" ", "").split(",")) - {""})
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([\w, ]*)\|", page, re.MULTILINE)
    }
    rows: tuple[Row[Any], ...] = (*TENANT_ROWS, *GATEWAY_ROWS, *ACTOR_ROWS)
    named = {
        row.name + {"By": "_bytes", "s": "_seconds", "": ""}[row.unit] + {"counter": "_total", "gauge": ""}[row.kind]
        for row in rows
    }
    of_a_parent = {line.split()[2] for line in of_workers([]).splitlines() if line.startswith("# TYPE")}
    assert set(documented) == named | of_a_parent | {f"{row.name}_seconds" for row in HISTOGRAM_ROWS}
    served = 0
    for family in text_string_to_metric_families((await metrics.render()).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        if family.samples and name.startswith("wsprism_"):
            served += 1
            assert documented[name] == (family.type, frozenset(family.samples[0].labels) - {"le"}), name
    assert served > len(documented) / 2
