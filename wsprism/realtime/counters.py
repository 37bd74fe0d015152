"""Plain integers that the message path adds to and telemetry reads when it is asked.

Nothing here knows an instrument; names and label values come from the configuration, never from the wire.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from qos import LaneCounters
from wsprism.policy.decisions import DecisionCounters
from wsprism.policy.suspension import Suspension
from wsprism.realtime.histogram import Histogram

__all__ = ["GatewayCounters", "ReloadResult", "ServiceCounters", "StreamCounters", "TailCounters", "TenantCounters"]


class ReloadResult(StrEnum):
    """How an attempt to reload the configuration ended; a metric's label."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class StreamCounters:
    """The streams of one tenant's backend. ``lanes`` is the exact account of their outbound queues; ``unknown``:
    answers and acks that nobody waits for; ``faults``: messages that are none."""

    __slots__ = (
        "calls",
        "connected",
        "faults",
        "hot_received",
        "hot_unknown_room",
        "lanes",
        "opened",
        "received",
        "received_bytes",
        "unknown",
    )

    def __init__(self) -> None:
        self.connected = 0
        self.opened = 0
        self.received = 0
        self.received_bytes = 0
        self.calls = 0
        self.hot_received = 0
        self.hot_unknown_room = 0
        self.unknown = 0
        self.faults = 0
        self.lanes = LaneCounters()


class ServiceCounters:
    """One service that is code of the operator's; ``duration`` is of some of its calls. What each field counts is said
    by ``ports.ServiceCounts``."""

    __slots__ = ("calls", "duration", "effects", "faults", "fuel", "memory_bytes", "slow", "suspension", "suspensions")

    def __init__(self) -> None:
        self.calls = 0
        self.effects = 0
        self.fuel = 0
        self.memory_bytes = 0
        self.slow = 0
        self.suspensions = 0
        self.suspension: Suspension | None = None
        self.faults: Counter[str] = Counter()
        self.duration = Histogram()

    @property
    def suspended(self) -> bool:
        """Whether it is left alone now."""
        return self.suspension is not None and self.suspension.suspended


class TailCounters:
    """The tails of one tenant's rooms. ``slow``: closed because they did not read fast enough."""

    __slots__ = ("connected", "lanes", "opened", "slow")

    def __init__(self) -> None:
        self.connected = 0
        self.opened = 0
        self.slow = 0
        self.lanes = LaneCounters()


class BrokerCounters:
    """What one tenant's rooms over nodes have done since the start.

    ``turns`` were handed to the broker; ``reads``: how often a room read where it stands; of what it had missed it was
    ``filled`` with all, or told its members of a gap.
    """

    __slots__ = ("filled", "gaps", "reads", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self.reads = 0
        self.filled = 0
        self.gaps = 0


class TenantCounters:
    """One tenant's counts since start. ``lanes`` is the exact account of its outbound queues; ``services`` are by lane
    and name."""

    __slots__ = (
        "broker",
        "bytes_in_ext",
        "bytes_in_hot",
        "closed",
        "decisions",
        "kicked",
        "lanes",
        "messages_by_ext_service",
        "messages_by_hot_service",
        "messages_in_ext",
        "messages_in_hot",
        "presence_diffs",
        "recoveries",
        "replayed_messages",
        "services",
        "sessions_opened",
        "slow_disconnects",
        "stream",
        "tails",
    )

    def __init__(self) -> None:
        self.messages_in_ext = 0
        self.messages_in_hot = 0
        self.bytes_in_ext = 0
        self.bytes_in_hot = 0
        self.sessions_opened = 0
        self.slow_disconnects = 0
        self.recoveries = {"recovered": 0, "lost": 0, "left_behind": 0}
        self.replayed_messages = 0
        self.presence_diffs = 0
        self.kicked: Counter[str] = Counter()
        self.closed: Counter[int] = Counter()
        self.messages_by_ext_service: dict[str, int] = {}
        self.messages_by_hot_service: dict[int, int] = {}
        self.decisions = DecisionCounters()
        self.lanes = LaneCounters()
        self.stream = StreamCounters()
        self.broker = BrokerCounters()
        self.services: dict[tuple[str, str], ServiceCounters] = {}
        self.tails = TailCounters()


class GatewayCounters:
    """Counts that belong to no tenant.

    ``config_generation`` is 1 at the start and goes up with every reload that is applied; ``config_hash`` is that of
    the configuration in force. ``handshake``: how long those that were accepted took. ``write_stalls``: connections
    given up because their transport made no progress. ``handshakes_refused``: all of them by reason;
    ``handshakes_refused_by_tenant``: of those, the ones that named a tenant of the configuration.
    """

    __slots__ = (
        "config_generation",
        "config_hash",
        "config_reloads",
        "exports_failed",
        "handshake",
        "handshakes_accepted",
        "handshakes_refused",
        "handshakes_refused_by_tenant",
        "traces_dropped",
        "write_stalls",
    )

    def __init__(self) -> None:
        self.handshake = Histogram()
        self.handshakes_accepted = 0
        self.handshakes_refused: Counter[str] = Counter()
        self.handshakes_refused_by_tenant: Counter[tuple[str, str]] = Counter()
        self.write_stalls = 0
        self.exports_failed = {"metrics": 0, "traces": 0}
        self.traces_dropped = 0
        self.config_reloads = dict.fromkeys(ReloadResult, 0)
        self.config_generation = 1
        self.config_hash = ""
