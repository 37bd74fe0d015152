"""One tenant's configuration, compiled for the message path: look-ups instead of models.

Built from settings by ``compile_rules``; immutable, so that a reload swaps it whole. Connections read it through their
``TenantContext`` and see the new rules with their next message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qos import Conflation, QueueLimits
from wsprism.policy.allowlist import ExtAllowlist, HotAllowlist
from wsprism.policy.history import HistoryBounds
from wsprism.policy.limits import Limits
from wsprism.policy.origins import OriginList
from wsprism.policy.presence import PresenceBounds
from wsprism.policy.ratelimit import RateLimiter, RateScope, TokenBucket
from wsprism.policy.revocation import Revocations
from wsprism.policy.room_rules import PresenceRules, RoomRules, RoomTable, SnapshotRules
from wsprism.policy.sessions import OnExceed, SessionPolicy
from wsprism.policy.values import ValueBounds, ValueTable
from wsprism.protocol.hot import Framing
from wsprism.realtime.counters import TenantCounters
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.tenant.one_time import OneTimeTickets
from wsprism.realtime.tenant.presence_table import Presences
from wsprism.realtime.tenant.registry import SessionRegistry
from wsprism.realtime.tenant.state import RESERVED_GENERATIONS, TenantState

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.ports import (
        Authenticator,
        BackendPort,
        Broker,
        ExtService,
        HostedService,
        HotService,
        Mirror,
        Registry,
        RoomStore,
        RoomWatcher,
        ServiceHost,
    )
    from wsprism.realtime.keyed.session import KeyedSession
    from wsprism.settings import RoomSettings, TenantSettings

__all__ = ["ServiceRegistry", "TenantContext", "TenantRules", "compile_rules"]

_NO_LIMIT: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class ServiceRegistry:
    """The services that a tenant's messages can reach, by the name or id that stands in a message.

    Of them ``hosted`` are code of the operator's, and ``watchers`` want to know who comes to rooms and goes.
    """

    ext: dict[str, ExtService]
    hot: dict[int, HotService]
    hosted: Sequence[HostedService] = ()
    watchers: Sequence[RoomWatcher] = ()


@dataclass(frozen=True, slots=True)
class TenantRules:
    """Everything that is decided about a message or a session of one tenant."""

    limits: Limits
    sessions: SessionPolicy
    ext_allowlist: ExtAllowlist
    hot_allowlist: HotAllowlist
    services: ServiceRegistry
    allowed_origins: OriginList | None
    one_time_tickets: bool
    hot_framing: Framing
    hot_errors_silent: bool
    hot_requires_active_room: bool
    hot_room_numbers: bool
    publish_requires_membership: bool
    allow_msgpack: bool
    max_protocol_errors: int
    rate_limit_rps: float
    rate_limit_burst: float
    rate_limit_scope: RateScope
    rate_limit_close_after_s: float
    queue_limits: QueueLimits
    conflation: Conflation
    hot_flush_s: float
    rooms: RoomTable
    max_history_rooms: int
    max_history_bytes: int
    values: Mapping[str, ValueBounds]
    max_values_bytes: int


class TenantContext:
    """What a tenant shares with its connections and rooms: the current rules, the counts, the tenant's token bucket.

    ``registry``, ``revocations`` and ``generations`` are written by the tenant actor alone. ``now`` is monotonic,
    ``unix_now`` Unix time. A ticket of ``one_time`` lets nobody in unless ``rules.one_time_tickets``. The process has
    one ``sampler``. ``store``: what rooms remember (None: nothing). ``values``: those of services of kind `state`,
    by room. ``tails``: who watches a room without being a member, by its name. ``removed``: the configuration does not
    have it any more, and nobody comes in. ``state`` is what outlives a restart, where anything does. ``host`` is what
    its services are started with. ``broker`` is there where other nodes share the tenant, and then ``mirror`` is the
    store of rooms that live on all of them.
    """

    __slots__ = (
        "_nodes",
        "_reserved_generation",
        "authenticator",
        "backend",
        "broker",
        "bucket",
        "counters",
        "generations",
        "host",
        "id",
        "mirror",
        "node_name",
        "now",
        "one_time",
        "presences",
        "ref",
        "registry",
        "removed",
        "revocations",
        "rules",
        "sampler",
        "shared",
        "state",
        "store",
        "tails",
        "unix_now",
        "values",
    )

    def __init__(
        self,
        tenant_id: str,
        rules: TenantRules,
        authenticator: Authenticator,
        now: Callable[[], float],
        *,
        unix_now: Callable[[], float] = time.time,
        one_time: OneTimeTickets | None = None,
        sampler: Sampler | None = None,
        store: RoomStore | None = None,
    ) -> None:
        self.id = tenant_id
        self.broker: Broker | None = None
        self.mirror: Mirror | None = None
        self.shared: Registry | None = None
        self.node_name: str | None = None
        self.authenticator = authenticator
        self.now = now
        self.unix_now = unix_now
        self.one_time = OneTimeTickets(unix_now) if one_time is None else one_time
        self.revocations = Revocations()
        self.sampler = sampler or Sampler()
        self.counters = TenantCounters()
        self.registry = SessionRegistry()
        self.presences = Presences(store)
        self.tails: dict[str, list[KeyedSession]] = {}
        self.values = ValueTable()
        self.generations = 0
        self._nodes = 1
        self._reserved_generation = 0
        self.state: TenantState | None = None
        self.backend: BackendPort | None = None
        self.host: ServiceHost | None = None
        self.ref: ActorRef
        self.removed = False
        self.rules = rules
        self.store = store
        if store is not None:
            store.configure(rules.max_history_rooms, rules.max_history_bytes)
        self.bucket = TokenBucket(rules.rate_limit_rps, rules.rate_limit_burst, now())

    @property
    def sessions(self) -> int:
        """Sessions now."""
        return len(self.registry)

    @property
    def rooms(self) -> int:
        """Rooms now."""
        return len(self.registry.rooms)

    @property
    def members(self) -> int:
        """Sessions in rooms now; a session counts in each of its rooms."""
        return sum(len(entry.sessions) for entry in self.registry.rooms.values())

    @property
    def presence_entries(self) -> int:
        """Entries of presence now; a session has one in each of its rooms that have presence."""
        return self.presences.entries

    def share(
        self, broker: Broker, mirror: Mirror, registry: Registry | None = None, node_name: str | None = None
    ) -> None:
        """Before anybody comes: have its rooms live on all nodes, but for those of one node.

        With a ``registry`` its sessions and who is in these rooms are counted over all nodes, and lists tell what this
        one is called.
        """
        self.broker, self.mirror, self.shared, self.node_name = broker, mirror, registry, node_name
        self.one_time.shared = registry
        broker.configure(self.rules.max_history_rooms, self.rules.max_history_bytes)

    @property
    def cut_off(self) -> bool:
        """Whether the nodes that share the tenant cannot be reached now."""
        return self.broker is not None and self.broker.away

    def broker_of(self, room: str) -> Broker | None:
        """Whose order the room has; None: it lives on this node alone."""
        broker = self.broker
        return None if broker is None or self.rules.rooms.of(room).node_only else broker

    def keeps_history(self, room: str) -> bool:
        """Whether what is published there is kept."""
        rooms = self.rules.rooms
        return rooms.keeps_history and self.store is not None and rooms.of(room).history is not None

    def keep_in(self, state: TenantState) -> None:
        """Before anybody comes: have what must not be forgotten outlive a restart, and take what has."""
        self.state = state
        now_s = self.unix_now()
        for one in state.revocations(now_s):
            self.revocations.revoke(one.what, one.name, one.until_s, now_s, one.reason)
        self.one_time.keep_in(state)
        self.generations = state.reserved_generation()
        self._reserve_generations(state)

    def end_keeping(self) -> None:
        """At a clean end: no generation is given any more."""
        if self.state is not None:
            self.state.reserve_generation(self.generations)

    def next_generation(self) -> int:
        """A number that is greater than all before, also than those before a restart."""
        self.generations += 1
        if self.state is not None and self._reserved_generation - self.generations < RESERVED_GENERATIONS // 2:
            self._reserve_generations(self.state)
        return self.generations

    def _reserve_generations(self, state: TenantState) -> None:
        self._reserved_generation = self.generations + RESERVED_GENERATIONS
        state.reserve_generation(self._reserved_generation)

    def apply(self, rules: TenantRules) -> None:
        """Swap the rules, services included. What connections hold of them follows when the tenant is told
        ``RulesChanged``."""
        before, self.rules = self.rules, rules
        self.start_services()
        for service in before.services.hosted:
            if service not in rules.services.hosted:
                service.stop(at_once=False)
        self.values.retain(rules.values)
        for kept in (self.store, self.broker):
            if kept is not None:
                kept.configure(rules.max_history_rooms, rules.max_history_bytes)
        self._configure_bucket()

    def divide_among(self, nodes: int) -> None:
        """Each of so many nodes has its share of the tenant's own message rate."""
        if nodes != self._nodes:
            self._nodes = nodes
            self._configure_bucket()

    def _configure_bucket(self) -> None:
        rules, nodes = self.rules, self._nodes
        self.bucket.configure(rules.rate_limit_rps / nodes, max(1.0, rules.rate_limit_burst / nodes), self.now())

    def start_services(self) -> None:
        """Those of the rules, which may have been started already."""
        if self.host is not None:
            for service in self.rules.services.hosted:
                service.start(self.host)

    def stop_services(self) -> None:
        """The tenant goes: nothing more of theirs is carried out."""
        for service in self.rules.services.hosted:
            service.stop(at_once=True)

    def rate_limiter(self) -> RateLimiter:
        """The limiter of a new connection."""
        limiter = RateLimiter(connection=None, tenant=None)
        self.configure(limiter)
        return limiter

    def configure(self, limiter: RateLimiter) -> None:
        """Have a connection's limiter follow the current rules."""
        rules, own = self.rules, limiter.own_bucket
        if own is None:
            own = TokenBucket(rules.rate_limit_rps, rules.rate_limit_burst, self.now())
        else:
            own.configure(rules.rate_limit_rps, rules.rate_limit_burst, self.now())
        limiter.configure(
            connection=own if rules.rate_limit_scope is not RateScope.TENANT else None,
            tenant=self.bucket if rules.rate_limit_scope is not RateScope.CONNECTION else None,
            close_after_s=rules.rate_limit_close_after_s,
        )


def compile_rules(settings: TenantSettings, services: ServiceRegistry) -> TenantRules:
    """The rules that ``settings`` describe."""
    limits, policy, qos = settings.limits, settings.policy, settings.qos
    return TenantRules(
        limits=Limits(
            max_frame_bytes=limits.max_frame_bytes,
            max_sessions_total=limits.max_sessions_total,
            max_rooms_total=limits.max_rooms_total,
            max_users_per_room=limits.max_users_per_room,
            max_rooms_per_user=limits.max_rooms_per_user,
            max_backend_bytes=limits.max_backend_bytes,
        ),
        sessions=SessionPolicy(
            max_sessions_per_user=policy.sessions.max_sessions_per_user,
            on_exceed=OnExceed(policy.sessions.on_exceed),
        ),
        ext_allowlist=ExtAllowlist.compile(policy.ext_allowlist),
        hot_allowlist=HotAllowlist.compile(policy.hot_allowlist),
        services=services,
        allowed_origins=OriginList(settings.allowed_origins) if settings.allowed_origins is not None else None,
        one_time_tickets=any(auth.kind == "one_time" for auth in settings.auth),
        hot_framing=Framing(policy.hot_framing),
        hot_errors_silent=policy.hot_error_mode == "silent",
        hot_requires_active_room=policy.hot_requires_active_room,
        hot_room_numbers=policy.hot_room_numbers,
        publish_requires_membership=policy.publish_requires_membership,
        allow_msgpack=policy.allow_msgpack,
        max_protocol_errors=policy.max_protocol_errors,
        rate_limit_rps=policy.rate_limit_rps,
        rate_limit_burst=policy.rate_limit_burst,
        rate_limit_scope=RateScope(policy.rate_limit_scope),
        rate_limit_close_after_s=policy.rate_limit_close_after_ms / 1000,
        queue_limits=QueueLimits(
            control_max_messages=qos.control_max_messages,
            reliable_max_bytes=qos.reliable_max_bytes,
            reliable_max_messages=qos.reliable_max_messages,
            hot_max_frames=qos.hot_max_frames,
            reliable_weight=qos.reliable_weight,
            hot_weight=qos.hot_weight,
        ),
        conflation=Conflation.parse(qos.conflate),
        hot_flush_s=qos.hot_flush_ms / 1000,
        rooms=RoomTable((one.match, _room_rules(one)) for one in settings.rooms),
        max_history_rooms=limits.max_history_rooms or _NO_LIMIT,
        max_history_bytes=limits.max_history_bytes or _NO_LIMIT,
        values={
            name: ValueBounds(one.max_keys, one.max_bytes)
            for name, one in settings.services.ext.items()
            if one.kind == "state"
        },
        max_values_bytes=limits.max_state_bytes or _NO_LIMIT,
    )


def _room_rules(room: RoomSettings) -> RoomRules:
    history, presence, snapshot = room.history, room.presence, room.snapshot
    return RoomRules(
        history=None
        if history is None
        else HistoryBounds(history.max_messages, history.max_bytes, history.ttl_s, history.recover_max_messages),
        presence=PresenceRules(
            PresenceBounds(presence.max_listed, presence.max_diff_users),
            events=presence.events,
            linger_s=presence.linger_ms / 1000,
            batch_s=presence.batch_ms / 1000,
            max_state_bytes=presence.max_state_bytes,
        )
        if presence.enabled
        else None,
        snapshot=None if snapshot is None else SnapshotRules(snapshot.max_keys, frozenset(snapshot.delete_opcodes)),
        node_only=room.scope == "node",
    )
