"""Metrics through OpenTelemetry: observable instruments that read the gateway's own integers when they are asked.

Nothing is recorded on the message path. Label values come from the configuration or from fixed enumerations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from qos import Lane
from wsprism import __version__
from wsprism.realtime.view import GatewayView

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

Points = Iterable[tuple[float, Mapping[str, str]]]


class Metrics:
    """Owns the meter provider of one gateway; ``render`` is what ``/metrics`` answers."""

    def __init__(self, view: GatewayView) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(registry=self._registry, scope_info_enabled=False, disable_target_info=True)
        resource = Resource.create({"service.name": "wsprism", "service.version": __version__})
        self._provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
        _register(self._provider.get_meter("wsprism", __version__), view)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Stop the provider; nothing is exported afterwards."""
        self._provider.shutdown()


def _register(meter: Meter, view: GatewayView) -> None:
    for name, description, unit, read in _COUNTERS:
        meter.create_observable_counter(name, [_callback(view, read)], unit=unit, description=description)
    for name, description, unit, read in _GAUGES:
        meter.create_observable_gauge(name, [_callback(view, read)], unit=unit, description=description)


def _callback(
    view: GatewayView, read: Callable[[GatewayView], Points]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for value, labels in read(view):
            yield Observation(value, labels)

    return observe


def _lanes(view: GatewayView, field: str) -> Points:
    for tenant in view.tenants():
        for lane in Lane:
            yield getattr(tenant.counters.lanes, field)[lane], {"tenant": tenant.id, "class": lane.name.lower()}


def _messages_in(view: GatewayView) -> Points:
    for tenant in view.tenants():
        yield tenant.counters.messages_in_ext, {"tenant": tenant.id, "lane": "ext"}
        yield tenant.counters.messages_in_hot, {"tenant": tenant.id, "lane": "hot"}


def _bytes_in(view: GatewayView) -> Points:
    for tenant in view.tenants():
        yield tenant.counters.bytes_in_ext, {"tenant": tenant.id, "lane": "ext"}
        yield tenant.counters.bytes_in_hot, {"tenant": tenant.id, "lane": "hot"}


def _service_messages(view: GatewayView) -> Points:
    for tenant in view.tenants():
        for name, count in tenant.counters.messages_by_ext_service.items():
            yield count, {"tenant": tenant.id, "lane": "ext", "service": name}
        for service_id, count in tenant.counters.messages_by_hot_service.items():
            yield count, {"tenant": tenant.id, "lane": "hot", "service": str(service_id)}


def _decisions(view: GatewayView) -> Points:
    for tenant in view.tenants():
        for reason, count in tenant.counters.decisions.items():
            yield count, {"tenant": tenant.id, "reason": reason.value}


def _per_tenant(field: str) -> Callable[[GatewayView], Points]:
    def read(view: GatewayView) -> Points:
        for tenant in view.tenants():
            yield getattr(tenant.counters, field), {"tenant": tenant.id}

    return read


def _lane_field(field: str) -> Callable[[GatewayView], Points]:
    return lambda view: _lanes(view, field)


def _closed(view: GatewayView) -> Points:
    for tenant in view.tenants():
        for code, count in tenant.counters.closed.items():
            yield count, {"tenant": tenant.id, "code": str(code)}


def _kicked(view: GatewayView) -> Points:
    for tenant in view.tenants():
        for reason, count in tenant.counters.kicked.items():
            yield count, {"tenant": tenant.id, "reason": reason}


def _sessions(view: GatewayView) -> Points:
    for tenant in view.tenants():
        yield tenant.sessions, {"tenant": tenant.id}


def _rooms(view: GatewayView) -> Points:
    for tenant in view.tenants():
        yield tenant.rooms, {"tenant": tenant.id}


Row = tuple[str, str, str, Callable[[GatewayView], Points]]

_COUNTERS: tuple[Row, ...] = (
    ("wsprism_messages_received", "Messages from clients", "", _messages_in),
    ("wsprism_received", "Bytes of messages from clients", "By", _bytes_in),
    ("wsprism_service_messages", "Messages that reached a service", "", _service_messages),
    ("wsprism_decisions", "Refusals by reason", "", _decisions),
    ("wsprism_queue_offered", "Messages offered to outbound queues", "", _lane_field("offered")),
    ("wsprism_queue_sent", "Messages handed to a transport", "", _lane_field("sent")),
    ("wsprism_queue_dropped", "Messages dropped by a full queue", "", _lane_field("dropped")),
    ("wsprism_queue_conflated", "Hot frames replaced by a newer one of their key", "", _lane_field("conflated")),
    ("wsprism_queue_discarded", "Messages still queued when their connection ended", "", _lane_field("discarded")),
    ("wsprism_sent", "Bytes handed to a transport", "By", _lane_field("sent_bytes")),
    ("wsprism_sessions_opened", "Sessions opened", "", _per_tenant("sessions_opened")),
    ("wsprism_sessions_kicked", "Sessions ended for another one", "", _kicked),
    ("wsprism_connections_closed", "Connections ended, by close code", "", _closed),
    ("wsprism_slow_disconnects", "Connections closed as slow consumers", "", _per_tenant("slow_disconnects")),
    (
        "wsprism_handshakes_refused",
        "Handshakes refused, by reason",
        "",
        lambda view: [(count, {"reason": reason}) for reason, count in view.counters.handshakes_refused.items()],
    ),
    ("wsprism_handshakes_accepted", "Handshakes accepted", "", lambda view: [(view.counters.handshakes_accepted, {})]),
    ("wsprism_actor_restarts", "Actors restarted", "", lambda view: [(view.actors().restarts, {})]),
    (
        "wsprism_write_stalls",
        "Connections given up for no progress",
        "",
        lambda view: [(view.counters.write_stalls, {})],
    ),
    (
        "wsprism_config_reload",
        "Attempts to reload the configuration",
        "",
        lambda view: [(count, {"result": result.value}) for result, count in view.counters.config_reloads.items()],
    ),
    (
        "wsprism_dead_letters",
        "Messages between actors that nobody took",
        "",
        lambda view: [(count, {"reason": reason.value}) for reason, count in view.actors().dead_letters.items()],
    ),
)

_GAUGES: tuple[Row, ...] = (
    ("wsprism_sessions", "Sessions now", "", _sessions),
    ("wsprism_rooms", "Rooms now", "", _rooms),
    ("wsprism_connections", "Open sockets now", "", lambda view: [(view.connections(), {})]),
    ("wsprism_queue_depth", "Messages waiting in outbound queues", "", _lane_field("queued")),
    ("wsprism_draining", "1 while the gateway drains", "", lambda view: [(float(view.draining()), {})]),
    (
        "wsprism_config_generation",
        "1 at the start, one more for every reload that was applied",
        "",
        lambda view: [(view.counters.config_generation, {})],
    ),
    (
        "wsprism_config_info",
        "1; its label is the hash of the configuration in force",
        "",
        lambda view: [(1, {"hash": view.counters.config_hash})],
    ),
    ("wsprism_actors", "Live actors", "", lambda view: [(view.actors().actors, {})]),
    ("wsprism_mailbox_depth", "Messages waiting in mailboxes", "", lambda view: [(view.actors().mailbox_depth, {})]),
)
