"""Every metric that there is: its name, help and unit, and how it is read from the gateway's own integers.

Label values come from the configuration or from fixed enumerations, never from the wire. ``docs/metrics.md`` lists the
same rows. Names are without what Prometheus appends: the unit, and ``_total`` of a counter.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from actors import SystemStatistics
from qos import Lane
from wsprism import __version__, build_kind
from wsprism.ports import BackendFigures, RoomStore
from wsprism.realtime.counters import ServiceCounters, StreamCounters
from wsprism.realtime.histogram import Histogram
from wsprism.realtime.view import ClusterFigures, GatewayView, TenantView

__all__ = ["ACTOR_ROWS", "GATEWAY_ROWS", "HISTOGRAM_ROWS", "TENANT_ROWS", "HistogramRow", "Points", "Row"]

_BUILD: Final = build_kind()

Labels = dict[str, str]
Points = Iterable[tuple[float, Labels]]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Row(Generic[S]):
    """One counter or gauge; ``read`` gives its points, of the whole gateway, its actors or one tenant."""

    kind: Literal["counter", "gauge"]
    name: str
    help: str
    read: Callable[[S], Points]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class HistogramRow:
    """One histogram in seconds."""

    name: str
    help: str
    read: Callable[[GatewayView], Iterable[tuple[Histogram, Labels]]]


def _field(name: str) -> Callable[[TenantView], Points]:
    return lambda tenant: [(getattr(tenant.counters, name), {"tenant": tenant.id})]


def _of_broker(name: str) -> Callable[[TenantView], Points]:
    def read(tenant: TenantView) -> Points:
        return [] if tenant.broker is None else [(getattr(tenant.counters.broker, name), {"tenant": tenant.id})]

    return read


def _of_cluster(read: Callable[[ClusterFigures], float | None]) -> Callable[[GatewayView], Points]:
    """Nothing without a broker, and while there is no such figure."""

    def points(view: GatewayView) -> Points:
        figures = view.cluster()
        value = None if figures is None else read(figures)
        return [] if value is None else [(value, {})]

    return points


def _round_trips(view: GatewayView) -> list[tuple[Histogram, Labels]]:
    figures = view.cluster()
    return [] if figures is None else [(figures.round_trips, {})]


def _differing(view: GatewayView) -> Points:
    figures = view.cluster()
    return [] if figures is None else [(float(one), {"node": name}) for name, one in figures.differing.items()]


def _by_class(name: str) -> Callable[[TenantView], Points]:
    def read(tenant: TenantView) -> Points:
        values = getattr(tenant.counters.lanes, name)
        return [(values[lane], {"tenant": tenant.id, "class": lane.name.lower()}) for lane in Lane]

    return read


def _by_lane(name: str) -> Callable[[TenantView], Points]:
    fields = [(lane, f"{name}_{lane}") for lane in ("ext", "hot")]
    return lambda tenant: [
        (getattr(tenant.counters, field), {"tenant": tenant.id, "lane": lane}) for lane, field in fields
    ]


def _of_store(read: Callable[[RoomStore], float]) -> Callable[[TenantView], Points]:
    return lambda tenant: [] if tenant.store is None else [(read(tenant.store), {"tenant": tenant.id})]


def _service_messages(tenant: TenantView) -> Points:
    counters = tenant.counters
    for name, count in counters.messages_by_ext_service.items():
        yield count, {"tenant": tenant.id, "lane": "ext", "service": name}
    for service_id, count in counters.messages_by_hot_service.items():
        yield count, {"tenant": tenant.id, "lane": "hot", "service": str(service_id)}


def _of_services(read: Callable[[ServiceCounters], Iterable[tuple[float, Labels]]]) -> Callable[[TenantView], Points]:
    """Of services that are code of the operator's."""

    def points(tenant: TenantView) -> Points:
        for (lane, name), counters in tenant.counters.services.items():
            for value, labels in read(counters):
                yield value, {"tenant": tenant.id, "lane": lane, "service": name} | labels

    return points


def _of_guests(field: str) -> Callable[[TenantView], Points]:
    """Of those that have used any fuel: the others have no series for it."""
    return _of_services(lambda one: [(getattr(one, field), {})] if one.fuel else [])


def _of_backend(read: Callable[[BackendFigures], Iterable[tuple[float, Labels]]]) -> Callable[[TenantView], Points]:
    """Nothing for a tenant that has no backend."""

    def points(tenant: TenantView) -> Points:
        if tenant.backend is not None:
            for value, labels in read(tenant.backend.figures):
                yield value, {"tenant": tenant.id} | labels

    return points


def _of_stream(read: Callable[[StreamCounters], Points]) -> Callable[[TenantView], Points]:
    """Of tenants whose backend may connect by itself, whether it has or not: the others have no series for it."""

    def points(tenant: TenantView) -> Points:
        if tenant.backend is None or tenant.backend.streams is None:
            return []
        return [(value, {"tenant": tenant.id, **labels}) for value, labels in read(tenant.counters.stream)]

    return points


def _stream_sent(name: str) -> Callable[[TenantView], Points]:
    return _of_stream(lambda one: [(getattr(one.lanes, name)[lane], {"class": lane.name.lower()}) for lane in Lane])


def _stream_unsent(one: StreamCounters) -> Points:
    for why in ("dropped", "conflated", "discarded"):
        values = getattr(one.lanes, why)
        yield from ((values[lane], {"class": lane.name.lower(), "why": why}) for lane in Lane)


STREAM_ROWS: Final[tuple[Row[TenantView], ...]] = (
    Row(
        "gauge", "wsprism_backend_streams", "Streams of the backend now", _of_stream(lambda one: [(one.connected, {})])
    ),
    Row("counter", "wsprism_backend_streams_opened", "Streams opened", _of_stream(lambda one: [(one.opened, {})])),
    Row(
        "counter",
        "wsprism_backend_stream_messages_received",
        "Messages from streams, hot frames too",
        _of_stream(lambda one: [(one.received, {})]),
    ),
    Row(
        "counter",
        "wsprism_backend_stream_received",
        "Bytes of messages from streams",
        _of_stream(lambda one: [(one.received_bytes, {})]),
        "By",
    ),
    Row("counter", "wsprism_backend_stream_calls", "Calls over streams", _of_stream(lambda one: [(one.calls, {})])),
    Row(
        "counter",
        "wsprism_backend_stream_hot_received",
        "Hot frames from streams",
        _of_stream(lambda one: [(one.hot_received, {})]),
    ),
    Row(
        "counter",
        "wsprism_backend_stream_ignored",
        "Messages from streams that nothing was done with, by reason",
        _of_stream(
            lambda one: [
                (one.unknown, {"reason": "unknown_id"}),
                (one.hot_unknown_room, {"reason": "unknown_room"}),
                (one.faults, {"reason": "fault"}),
            ]
        ),
    ),
    Row("counter", "wsprism_backend_stream_messages_sent", "Messages handed to streams", _stream_sent("sent")),
    Row("counter", "wsprism_backend_stream_sent", "Bytes handed to streams", _stream_sent("sent_bytes"), "By"),
    Row(
        "counter",
        "wsprism_backend_stream_unsent",
        "Messages to streams that never left, by reason",
        _of_stream(_stream_unsent),
    ),
)

SERVICE_ROWS: Final[tuple[Row[TenantView], ...]] = (
    Row("counter", "wsprism_service_calls", "Calls of a service's code", _of_services(lambda one: [(one.calls, {})])),
    Row(
        "counter",
        "wsprism_service_effects",
        "Effects that a service's code has answered",
        _of_services(lambda one: [(one.effects, {})]),
    ),
    Row(
        "counter",
        "wsprism_service_faults",
        "Calls of a service's code without an answer that can be used, by cause",
        _of_services(lambda one: [(count, {"cause": cause}) for cause, count in one.faults.items()]),
    ),
    Row("counter", "wsprism_service_fuel", "Fuel used by WebAssembly modules", _of_guests("fuel")),
    Row("gauge", "wsprism_service_memory", "Memory of WebAssembly modules now", _of_guests("memory_bytes"), "By"),
    Row(
        "counter",
        "wsprism_service_slow_calls",
        "Calls of a service's code that held the event loop for more than 5 ms",
        _of_services(lambda one: [(one.slow, {})]),
    ),
    Row(
        "gauge",
        "wsprism_service_suspended",
        "1 while a service is left alone because it keeps failing",
        _of_services(lambda one: [(int(one.suspended), {})]),
    ),
    Row(
        "counter",
        "wsprism_service_suspensions",
        "Times that a service was suspended",
        _of_services(lambda one: [(one.suspensions, {})]),
    ),
)


def _of_tails(name: str) -> Callable[[TenantView], Points]:
    """Of tenants that have had a tail."""

    def points(tenant: TenantView) -> Points:
        tails = tenant.counters.tails
        return [(getattr(tails, name), {"tenant": tenant.id})] if tails.opened else []

    return points


TAIL_ROWS: Final[tuple[Row[TenantView], ...]] = (
    Row("gauge", "wsprism_tails", "Tails of rooms now", _of_tails("connected")),
    Row("counter", "wsprism_tails_slow", "Tails closed because they did not keep up", _of_tails("slow")),
)

TENANT_ROWS: Final[tuple[Row[TenantView], ...]] = (
    Row("gauge", "wsprism_sessions", "Sessions now", lambda one: [(one.sessions, {"tenant": one.id})]),
    Row("gauge", "wsprism_rooms", "Rooms now", lambda one: [(one.rooms, {"tenant": one.id})]),
    Row("gauge", "wsprism_members", "Memberships of rooms now", lambda one: [(one.members, {"tenant": one.id})]),
    Row(
        "gauge",
        "wsprism_presence_entries",
        "Sessions present in rooms with presence",
        lambda one: [(one.presence_entries, {"tenant": one.id})],
    ),
    Row(
        "gauge",
        "wsprism_state_keys",
        "Keys that services of kind state keep of rooms",
        lambda one: [(one.values.keys, {"tenant": one.id})],
    ),
    Row(
        "gauge",
        "wsprism_state",
        "Bytes that services of kind state keep of rooms",
        lambda one: [(one.values.size_bytes, {"tenant": one.id})],
        "By",
    ),
    Row("counter", "wsprism_presence_diffs", "Presence diffs to subscribers", _field("presence_diffs")),
    Row("counter", "wsprism_sessions_opened", "Sessions opened", _field("sessions_opened")),
    Row(
        "counter",
        "wsprism_sessions_kicked",
        "Sessions ended for another one, by reason",
        lambda one: [(count, {"tenant": one.id, "reason": reason}) for reason, count in one.counters.kicked.items()],
    ),
    Row(
        "counter",
        "wsprism_connections_closed",
        "Connections ended, by close code",
        lambda one: [(count, {"tenant": one.id, "code": str(code)}) for code, count in one.counters.closed.items()],
    ),
    Row("counter", "wsprism_slow_disconnects", "Connections closed as slow consumers", _field("slow_disconnects")),
    Row("counter", "wsprism_messages_received", "Messages from clients", _by_lane("messages_in")),
    Row("counter", "wsprism_received", "Bytes of messages from clients", _by_lane("bytes_in"), "By"),
    Row("counter", "wsprism_service_messages", "Messages that reached a service", _service_messages),
    Row(
        "counter",
        "wsprism_decisions",
        "Refusals, by reason",
        lambda one: [
            (count, {"tenant": one.id, "reason": reason.value}) for reason, count in one.counters.decisions.items()
        ],
    ),
    Row("counter", "wsprism_queue_offered", "Messages offered to outbound queues", _by_class("offered")),
    Row("counter", "wsprism_queue_sent", "Messages handed to a transport", _by_class("sent")),
    Row("counter", "wsprism_sent", "Bytes handed to a transport", _by_class("sent_bytes"), "By"),
    Row("counter", "wsprism_queue_dropped", "Messages dropped by a full queue", _by_class("dropped")),
    Row(
        "counter",
        "wsprism_queue_conflated",
        "Hot frames replaced by a newer one of their key",
        _by_class("conflated"),
    ),
    Row(
        "counter",
        "wsprism_queue_discarded",
        "Messages still queued when their connection ended",
        _by_class("discarded"),
    ),
    Row("gauge", "wsprism_histories", "Rooms whose history is kept now", _of_store(len)),
    Row("gauge", "wsprism_history", "Bytes of histories now", _of_store(lambda one: one.size_bytes), "By"),
    Row(
        "counter",
        "wsprism_histories_evicted",
        "Histories that went for want of room",
        _of_store(lambda one: one.evicted),
    ),
    Row("counter", "wsprism_histories_expired", "Histories whose time was over", _of_store(lambda one: one.expired)),
    Row(
        "counter",
        "wsprism_recoveries",
        "Joins with a place to recover from, by result",
        lambda one: [
            (count, {"tenant": one.id, "result": result}) for result, count in one.counters.recoveries.items()
        ],
    ),
    Row(
        "counter",
        "wsprism_replayed_messages",
        "Messages read from histories by who recovers",
        _field("replayed_messages"),
    ),
    Row("counter", "wsprism_broker_turns", "Turns of rooms over nodes handed to the broker", _of_broker("turns")),
    Row(
        "counter", "wsprism_broker_reads", "Times that a room read from the broker where it stands", _of_broker("reads")
    ),
    Row("counter", "wsprism_rooms_filled", "Times that a room read all that it had missed", _of_broker("filled")),
    Row("counter", "wsprism_room_gaps", "Times that members were told that something is missing", _of_broker("gaps")),
    Row("gauge", "wsprism_queue_depth", "Messages waiting in outbound queues now", _by_class("queued")),
    Row("gauge", "wsprism_queue", "Bytes waiting in outbound queues now", _by_class("queued_bytes"), "By"),
    Row(
        "counter",
        "wsprism_backend_calls",
        "Questions to the backend, by kind and result",
        _of_backend(lambda now: [(n, {"kind": kind, "result": one.value}) for (kind, one), n in now.calls.items()]),
    ),
    Row(
        "gauge",
        "wsprism_backend_in_flight",
        "Questions to the backend under way now",
        _of_backend(lambda now: [(now.in_flight, {})]),
    ),
    Row(
        "gauge",
        "wsprism_backend_waiting",
        "Questions that wait for the backend now",
        _of_backend(lambda now: [(now.waiting, {})]),
    ),
    Row(
        "gauge",
        "wsprism_backend_breakers_open",
        "Addresses of the backend that are not asked now, because they failed too often",
        _of_backend(lambda now: [(sum(state != "closed" for state in now.breakers.values()), {})]),
    ),
    Row(
        "gauge",
        "wsprism_backend_events_waiting",
        "Events that the backend has not taken yet",
        _of_backend(lambda now: [(now.events_waiting, {})]),
    ),
    Row(
        "counter",
        "wsprism_backend_events_sent",
        "Events that the backend has taken",
        _of_backend(lambda now: [(now.events_sent, {})]),
    ),
    Row(
        "counter",
        "wsprism_backend_events_missed",
        "Events that were lost because too many waited, or too long",
        _of_backend(lambda now: [(now.events_missed, {})]),
    ),
    Row(
        "gauge",
        "wsprism_backend_oldest_event",
        "How long the oldest event has waited",
        _of_backend(lambda now: [(now.oldest_event_s, {})]),
        "s",
    ),
    *STREAM_ROWS,
    *SERVICE_ROWS,
    *TAIL_ROWS,
)


def _handshakes_refused(view: GatewayView) -> list[tuple[float, dict[str, str]]]:
    """Those that named a tenant, and the rest under an empty one."""
    rest = view.counters.handshakes_refused.copy()
    points: list[tuple[float, dict[str, str]]] = []
    for (tenant, reason), count in view.counters.handshakes_refused_by_tenant.items():
        points.append((count, {"reason": reason, "tenant": tenant}))
        rest[reason] -= count
    return points + [(count, {"reason": reason, "tenant": ""}) for reason, count in rest.items() if count]


GATEWAY_ROWS: Final[tuple[Row[GatewayView], ...]] = (
    Row(
        "gauge",
        "wsprism_redis_away",
        "1: the Redis that nodes share cannot be used now",
        _of_cluster(lambda one: float(one.away)),
    ),
    Row(
        "gauge",
        "wsprism_degraded",
        "1: clients have been told that Redis is away",
        _of_cluster(lambda one: float(one.degraded)),
    ),
    Row(
        "counter",
        "wsprism_degradations",
        "Times that clients were told that Redis is away",
        _of_cluster(lambda one: one.degradations),
    ),
    Row(
        "gauge",
        "wsprism_node_lease_age",
        "Since this node's lease was last renewed, by its own clock",
        _of_cluster(lambda one: one.lease_age_s),
        "s",
    ),
    Row("gauge", "wsprism_node_lease", "How long a lease of this node is", _of_cluster(lambda one: one.lease_s), "s"),
    Row(
        "gauge",
        "wsprism_nodes_configuration_differs",
        "1: the node's configuration is another than that of most nodes",
        _differing,
    ),
    Row("gauge", "wsprism_nodes", "Nodes that live, this one included", _of_cluster(lambda one: one.live_nodes)),
    Row(
        "counter",
        "wsprism_redis_connections_lost",
        "Times that Redis was lost",
        _of_cluster(lambda one: one.connections_lost),
    ),
    Row(
        "counter",
        "wsprism_node_fenced",
        "Times that others took this node for dead",
        _of_cluster(lambda one: one.fenced),
    ),
    Row(
        "counter",
        "wsprism_node_reaped_entries",
        "Sessions and memberships of dead nodes that this one cleared away",
        _of_cluster(lambda one: one.reaped),
    ),
    Row("gauge", "wsprism_connections", "Open WebSockets now", lambda view: [(view.connections(), {})]),
    Row(
        "gauge",
        "wsprism_http_connections",
        "Sockets now that have not been upgraded",
        lambda view: [(view.http_connections(), {})],
    ),
    Row(
        "counter",
        "wsprism_handshakes_accepted",
        "Handshakes that became connections",
        lambda view: [(view.counters.handshakes_accepted, {})],
    ),
    Row(
        "counter",
        "wsprism_handshakes_refused",
        "Handshakes refused, by reason and, where it is known, tenant",
        _handshakes_refused,
    ),
    Row("counter", "wsprism_writes", "Writes to transports", lambda view: [(view.flusher.writes, {})]),
    Row(
        "counter",
        "wsprism_write_pauses",
        "Times that a transport was full and its connection had to wait",
        lambda view: [(view.flusher.pauses, {})],
    ),
    Row(
        "counter",
        "wsprism_write_stalls",
        "Connections given up because nothing could be written for too long",
        lambda view: [(view.counters.write_stalls, {})],
    ),
    Row("gauge", "wsprism_draining", "1 while the gateway drains", lambda view: [(int(view.draining()), {})]),
    Row(
        "counter",
        "wsprism_config_reload",
        "Attempts to reload the configuration, by result",
        lambda view: [(count, {"result": result.value}) for result, count in view.counters.config_reloads.items()],
    ),
    Row(
        "gauge",
        "wsprism_config_generation",
        "1 at the start, one more for every reload that was applied",
        lambda view: [(view.counters.config_generation, {})],
    ),
    Row(
        "gauge",
        "wsprism_config_info",
        "1; the label is the hash of the configuration in force",
        lambda view: [(1, {"hash": view.counters.config_hash})],
    ),
    Row(
        "gauge",
        "wsprism_build_info",
        "1; the labels say what runs, build is compiled or pure",
        lambda _: [(1, {"version": __version__, "python": platform.python_version(), "build": _BUILD})],
    ),
    Row(
        "counter",
        "wsprism_telemetry_exports_failed",
        "Exports to the OTLP collector that failed, by signal",
        lambda view: [(count, {"signal": signal}) for signal, count in view.counters.exports_failed.items()],
    ),
    Row(
        "counter",
        "wsprism_traces_dropped",
        "Sampled traces that were not exported because too many waited",
        lambda view: [(view.counters.traces_dropped, {})],
    ),
)

ACTOR_ROWS: Final[tuple[Row[SystemStatistics], ...]] = (
    Row("gauge", "wsprism_actors", "Live actors", lambda now: [(now.actors, {})]),
    Row(
        "gauge",
        "wsprism_mailbox_depth",
        "Messages waiting in all mailboxes now",
        lambda now: [(now.mailbox_depth, {})],
    ),
    Row(
        "gauge",
        "wsprism_mailbox_deepest",
        "Messages waiting in the fullest mailbox now",
        lambda now: [(now.deepest_depth, {})],
    ),
    Row(
        "counter",
        "wsprism_actor_failures",
        "Exceptions in actors",
        lambda now: [(now.failures, {})],
    ),
    Row("counter", "wsprism_actor_restarts", "Actors restarted", lambda now: [(now.restarts, {})]),
    Row(
        "counter",
        "wsprism_dead_letters",
        "Messages between actors that nobody took, by reason",
        lambda now: [(count, {"reason": reason.value}) for reason, count in now.dead_letters.items()],
    ),
)

HISTOGRAM_ROWS: Final[tuple[HistogramRow, ...]] = (
    HistogramRow(
        "wsprism_handshake_duration",
        "From a request's headers to the open connection, of accepted handshakes",
        lambda view: [(view.counters.handshake, {})],
    ),
    HistogramRow(
        "wsprism_dispatch_duration",
        "Handling of a message by its connection, sampled",
        lambda view: [(histogram, {"lane": lane}) for lane, histogram in view.sampler.dispatch.items()],
    ),
    HistogramRow(
        "wsprism_delivery_duration",
        "From a message's handling to the write for a room's last member, sampled",
        lambda view: [(histogram, {"lane": lane}) for lane, histogram in view.sampler.delivery.items()],
    ),
    HistogramRow(
        "wsprism_backend_call_duration",
        "Of a question to the backend, from its sending to its answer or failure",
        lambda view: [
            (one.backend.figures.duration, {"tenant": one.id}) for one in view.tenants() if one.backend is not None
        ],
    ),
    HistogramRow(
        "wsprism_service_call_duration",
        "Of a call of a service's code, one in sixteen; of an async one from its beginning to its end",
        lambda view: [
            (one.duration, {"tenant": tenant.id, "lane": lane, "service": name})
            for tenant in view.tenants()
            for (lane, name), one in tenant.counters.services.items()
        ],
    ),
    HistogramRow(
        "wsprism_redis_round_trip",
        "To the Redis that nodes share and back, once a second on each connection",
        _round_trips,
    ),
    HistogramRow(
        "wsprism_loop_lag",
        "How late the event loop runs a timer",
        lambda view: [(view.vitals.loop_lag, {})],
    ),
    HistogramRow(
        "wsprism_gc_pause",
        "Garbage collections, by generation",
        lambda view: [(pause, {"generation": str(age)}) for age, pause in enumerate(view.vitals.gc_pause)],
    ),
)
