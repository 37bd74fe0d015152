"""This process as one node among those that share a Redis: its connections, its lease, and the tenants on them.

Two connections: the ``line`` for subscriptions, publications and reads, whose order is a promise; the ``desk`` for
leases, limits and lists. If one is lost both are, and others take their place, for as long as it takes. A node is known
by its incarnation, a number that is never taken twice: when others have cleaned up after it, it takes a new one. It is
random: a Redis that has lost its data could not count on from where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wsprism.adapters.redis.address import Address
from wsprism.adapters.redis.broker import RedisBroker
from wsprism.adapters.redis.connection import Bounds, RedisConnection
from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.large_reads import LargeReads
from wsprism.adapters.redis.leases import Lease
from wsprism.adapters.redis.opening import Opener
from wsprism.adapters.redis.protocol import Refused
from wsprism.adapters.redis.registry import RedisRegistry
from wsprism.adapters.redis.scripts import call, names, script
from wsprism.adapters.redis.subscriptions import Hears
from wsprism.errors import OperatorError
from wsprism.policy.log_limit import LimitedLog
from wsprism.ports import Unavailable
from wsprism.realtime.histogram import Histogram

__all__ = ["NodeFigures", "NodeOptions", "NodeSeen", "RedisNode"]

_log = logging.getLogger("wsprism.redis")

_RETRY_S: Final = 0.05
_RETRY_MOST_S: Final = 1.0
_LASTED_S: Final = 1.0
"""A connection that was lost earlier is no reason to try again at once."""

_GIVE_UP_S: Final = 2.0
_REMEMBERED_LEASES: Final = 6
"""So many leases a node that says nothing stays among those that are listed."""

_INCARNATIONS: Final = 2**53 - 1
"""As many as a number in JSON can name exactly."""

_LOOK_S: Final = 10.0
"""Between two looks whether anything was missed, and as much again by chance."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """``prefix`` is what all keys begin with, ``name`` what operators call this node."""

    address: Address
    prefix: str
    name: str
    lease_ms: int = 10_000
    epoch_survives_failover: bool = False


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """One node as all others see it; ``lease_age_ms`` since it last said that it lives."""

    incarnation: int
    lease_age_ms: int
    about: bytes


@dataclass(slots=True)
class NodeFigures:
    """Since the start."""

    connected: int = 0
    lost: int = 0
    refused_connections: int = 0
    fenced: int = 0
    strange_answers: int = 0
    reaped: int = 0
    round_trips: Histogram = field(default_factory=Histogram)
    """To Redis and back: of a PING a second on each connection."""


class RedisNode:
    """``start``, then ``broker`` for each tenant; ``close`` at the end."""

    def __init__(self, options: NodeOptions, bounds: Bounds | None = None) -> None:
        """Raises OperatorError for files that the address names and that cannot be used."""
        self.options = options
        self.figures = NodeFigures()
        self.incarnation = 0
        self.survives = int(options.epoch_survives_failover)
        self.on_away: Callable[[bool], object] = lambda _: None
        """Told True when Redis is away, False when it is back."""
        self.on_isolated: Callable[[bool], object] = lambda _: None
        """Told True when the lease may be over, False when there is one again."""
        self.about: Callable[[], bytes] = lambda: b"{}"
        """What it says of itself to those who list nodes, as JSON."""
        self.channels: dict[bytes, Hears] = {}
        self.reads = LargeReads()
        self._opener = Opener(options.address, bounds)
        self._own_prefix = f"{options.prefix}:".encode()
        self._limited = LimitedLog(_log, time.monotonic)
        self._brokers: dict[str, RedisBroker] = {}
        self._registries: dict[str, RedisRegistry] = {}
        self._lease = Lease(self, options.lease_ms)
        self._pair: tuple[RedisConnection, RedisConnection] | None = None
        self._line: RedisConnection | None = None
        self._old: list[tuple[str, int]] = []
        """Run id of the server and id of each connection that may not be dead there yet."""
        self._lost: asyncio.Future[str] | None = None
        self._connected_at = 0.0
        self._living: asyncio.Task[None] | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def away(self) -> bool:
        """Whether there is no Redis that this node may use now."""
        return self._line is None

    @property
    def isolated(self) -> bool:
        """Whether the node counts itself dead: its lease may be over."""
        return self._lease.over

    @property
    def lease_age_s(self) -> float | None:
        """Since the last good renewal of its lease, by its own clock; None: it never had one."""
        return self._lease.age_s

    @property
    def live_nodes(self) -> int:
        """How many there are, this one included, as far as it knows."""
        return self._lease.live_nodes

    def broker(self, tenant: str) -> RedisBroker:
        """A tenant's."""
        broker = self._brokers.get(tenant)
        if broker is None:
            prefix = f"{self.options.prefix}:{{{tenant}}}:".encode()
            broker = self._brokers[tenant] = RedisBroker(self, prefix)
            registry = self._registries[tenant] = RedisRegistry(self, prefix, broker)
            self.channels[registry.follower.channel] = registry.follower
            if self._line is not None:
                self._lease.enter(broker)
        return broker

    def registry(self, tenant: str) -> RedisRegistry:
        """A tenant's."""
        self.broker(tenant)
        return self._registries[tenant]

    def drop(self, tenant: str) -> None:
        """A tenant that was removed."""
        broker = self._brokers.pop(tenant, None)
        if broker is not None:
            self._lease.leave(broker)
            broker.down()
            registry = self._registries.pop(tenant)
            registry.down()
            del self.channels[registry.follower.channel]

    def nodes(self, done: Callable[[list[NodeSeen] | Unavailable], object]) -> None:
        """All nodes that have said of late that they live, whatever their tenants."""

        def answered(answer: Any) -> None:
            if not isinstance(answer, list):
                done(Unavailable.AWAY)
                return
            triples = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
            done([NodeSeen(int(incarnation), int(age_ms), about) for incarnation, age_ms, about in triples])

        desk = None if self._pair is None else self._pair[1]
        refused = True if desk is None else call(desk, script("nodes"), self._own_prefix, (), answered)
        if refused is not None:
            self.later(lambda: done(Unavailable.AWAY))

    @property
    def brokers(self) -> Sequence[RedisBroker]:
        return list(self._brokers.values())

    async def start(self) -> None:
        """Connect, or go on trying. Raises OperatorError for what an operator must change."""
        try:
            self._up(*await self._connect())
        except RedisUnreachable as error:
            self._refused(error)
        self._lease.open()
        self._living = asyncio.create_task(self._live(), name="wsprism-redis")

    async def close(self) -> None:
        """Give up the lease and what is held under it, and end both connections."""
        if self._living is not None:
            self._living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._living
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GIVE_UP_S):
                await self._lease.give_up()
                await self._withdraw()
        self._lease.close()
        await self._end("closed")

    async def _withdraw(self) -> None:
        if self._pair is not None and self.incarnation:
            withdrawn: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            arguments = (self.incarnation,)
            if call(self._pair[1], script("withdraw"), self._own_prefix, arguments, withdrawn.set_result) is None:
                await withdrawn

    # What brokers need

    def later(self, call: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(call)

    def strange(self, what: str, answer: object) -> None:
        """Redis has refused what it should not: logged, and a primary that is one no more is left."""
        self.figures.strange_answers += 1
        self._limited.log("redis", "Redis has refused a call", level=logging.WARNING, call=what, answer=str(answer))
        if isinstance(answer, Refused) and answer.code == "READONLY" and self._line is not None:
            self._line.abort("it is no longer the primary")

    def fenced(self) -> None:
        """Others took this node for dead: everything begins anew, under another number."""
        if self._line is not None and self.incarnation:
            self.figures.fenced += 1
            self.incarnation = 0
            self._line.abort("others took this node for dead")

    # What the lease tells

    def entered(self, broker: RedisBroker) -> None:
        if self._pair is None or self._line is None:
            return
        for tenant, one in self._brokers.items():
            if one is broker:
                broker.up(self._line)
                self._registries[tenant].up(self._pair[1], self._line, one.control_at)

    def cleaned_up(self, entries: int) -> None:
        self.figures.reaped += entries

    def wants_lost(self, broker: RedisBroker) -> bool:
        registry = self._registry_of(broker)
        return registry is not None and registry.wants_lost

    def lost(self, broker: RedisBroker, words: Sequence[Sequence[Any]]) -> None:
        registry = self._registry_of(broker)
        if registry is not None:
            registry.lost(words)

    def _registry_of(self, broker: RedisBroker) -> RedisRegistry | None:
        return next((self._registries[tenant] for tenant, one in self._brokers.items() if one is broker), None)

    def announce(self, desk: RedisConnection) -> None:
        arguments = (self.incarnation, self.about(), _REMEMBERED_LEASES * self.options.lease_ms)
        call(desk, script("announce"), self._own_prefix, arguments, _ignored)

    def announce_now(self) -> None:
        """What it says of itself has changed. While Redis is away it is said once that is back."""
        if self._line is not None and self._pair is not None:
            self.announce(self._pair[1])

    def isolation(self, over: bool) -> None:
        self.on_isolated(over)

    # Connections

    async def _live(self) -> None:
        delay_s = _RETRY_S
        while True:
            if self._pair is not None and self._lost is not None:
                why = await self._lost
                if time.monotonic() - self._connected_at > _LASTED_S:
                    delay_s = _RETRY_S
                await self._end(why)
                self.figures.lost += 1
                _log.warning("Redis is away", extra={"why": why})
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(delay_s * 2, _RETRY_MOST_S)
            try:
                self._up(*await self._connect())
            except (RedisUnreachable, OperatorError) as error:
                self._refused(error)

    async def _connect(self) -> tuple[RedisConnection, RedisConnection]:
        """Two connections, the old ones killed first: what they still had in them is carried out never or before."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def loses(why: str) -> None:
            self._down()
            if not lost.done():
                lost.set_result(why)

        name = f"{self.options.prefix}-{self.options.name}"
        line = await self._opener.open(f"{name}-line", self._heard, loses)
        desk: RedisConnection | None = None
        try:
            desk = await self._opener.open(f"{name}-desk", lost=line.abort)
            for run_id, old in self._old:
                if desk.server is not None and run_id == desk.server.run_id:
                    await desk.ask("CLIENT", "KILL", "ID", old)
            self._old.clear()
            for each in names():
                await desk.ask("SCRIPT", "LOAD", script(each).source)
            while True:
                if not self.incarnation:
                    self.incarnation = 1 + secrets.randbelow(_INCARNATIONS)
                    for broker in self.brokers:
                        broker.subscriptions.forget_left()
                if await self._lease.hold(desk, self.brokers):
                    break
                self.incarnation = 0
            if lost.done():
                raise RedisUnreachable(f"Redis at {self.options.address} is away: {lost.result()}")
        except BaseException:
            await line.close()
            if desk is not None:
                await desk.close()
            raise
        self._lost = lost
        return line, desk

    def _up(self, line: RedisConnection, desk: RedisConnection) -> None:
        self._pair, self._line = (line, desk), line
        line.on_round_trip = desk.on_round_trip = self.figures.round_trips.record
        self._connected_at = time.monotonic()
        self.figures.connected += 1
        for broker in self.brokers:
            if broker.held_as == self.incarnation:
                self.entered(broker)
            else:
                self._lease.enter(broker)
        self._lease.follow(desk)
        self._look = asyncio.get_running_loop().call_later(_LOOK_S * random.uniform(1, 2), self._look_at_rooms)
        self.on_away(False)
        _log.info("connected to Redis", extra={"server": str(self.options.address), "incarnation": self.incarnation})

    def _down(self) -> None:
        if self._line is None:
            return
        self._line = None
        if self._look is not None:
            self._look.cancel()
        for broker in self.brokers:
            broker.down()
        for registry in self._registries.values():
            registry.down()
        self.on_away(True)

    async def _end(self, why: str) -> None:
        pair, self._pair = self._pair, None
        self._lease.rest()
        for connection in pair or ():
            if connection.server is not None:
                self._old.append((connection.server.run_id, connection.server.client_id))
            connection.abort(why)
            await connection.close()

    def _refused(self, error: Exception) -> None:
        self.figures.refused_connections += 1
        self._limited.log("redis_away", "Redis cannot be used", level=logging.WARNING, error=str(error))

    def _heard(self, push: Sequence[Any]) -> None:
        match push:
            case [b"smessage", bytes() as channel, bytes() as message]:
                listener = self.channels.get(channel)
                if listener is not None:
                    listener.heard(message, b"%d" % self.incarnation)
            case [b"sunsubscribe", bytes() as channel, *_]:
                listener = self.channels.get(channel)
                if listener is not None:
                    listener.unsubscribed()

    def _look_at_rooms(self) -> None:
        self._look = asyncio.get_running_loop().call_later(_LOOK_S * random.uniform(1, 2), self._look_at_rooms)
        for broker in self.brokers:
            broker.look()


def _ignored(_: object) -> None:
    """Nobody is told."""
