"""This process among the nodes that share a Redis: what its tenants get of it, and what they are told of it.

Nothing of it is imported where no broker is configured.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from wsprism.adapters.memory.mirror import MirrorStore
from wsprism.adapters.redis.address import parse_address
from wsprism.composition.node_list import NodeList, OwnFigures, described
from wsprism.errors import OperatorError
from wsprism.ports import Unavailable
from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import CloseAll, Degraded
from wsprism.realtime.view import ClusterFigures, NodeInfo

if TYPE_CHECKING:
    from actors import Scheduler
    from wsprism.adapters.redis.node import RedisNode
    from wsprism.realtime.rules import TenantContext
    from wsprism.settings import GatewaySettings, NodeSettings

__all__ = ["ClusterNode", "build_node", "node_name"]

TOLD_AFTER_S: Final = 1.0
"""So long Redis is away before clients are told."""

LOOK_S: Final = 5.0
"""Between two looks at the others."""


def build_node(
    gateway: GatewaySettings,
    scheduler: Scheduler,
    tenants: Callable[[], Iterable[TenantContext]],
    own: Callable[[], OwnFigures],
    worker: int | None = None,
) -> ClusterNode | None:
    """None: no broker is configured. ``worker`` is which of several on this machine it is.

    Raises OperatorError for what cannot be used.
    """
    broker = gateway.broker
    if broker is None:
        return None
    address = parse_address(broker.url.get_secret_value())
    try:
        from wsprism.adapters.redis.node import NodeOptions, RedisNode  # needs what is not always installed
    except ImportError as error:
        missing = f"gateway.broker needs more than is installed: pip install 'wsprism[redis]' ({error})"
        raise OperatorError(missing) from None
    node = gateway.node
    name = node_name(node, worker)
    redis = RedisNode(NodeOptions(address, broker.prefix, name, node.lease_ms, broker.epoch_survives_failover))
    redis.about = lambda: described(own())
    return ClusterNode(redis, scheduler, tenants, closes=node.on_isolation == "close")


def node_name(node: NodeSettings, worker: int | None = None) -> str:
    """What operators call this process among others."""
    name = node.name or socket.gethostname() or "node"
    return name if worker is None else f"{name}-{worker}"


class ClusterNode:
    """``join`` for each tenant, ``start`` before anybody is served, ``close`` at the end."""

    def __init__(
        self,
        redis: RedisNode,
        scheduler: Scheduler,
        tenants: Callable[[], Iterable[TenantContext]],
        *,
        closes: bool,
    ) -> None:
        self.redis = redis
        self._scheduler = scheduler
        self._tenants = tenants
        self._closes = closes
        self._joined: list[TenantContext] = []
        self._outage = 0
        self._told = False
        self._times_told = 0
        self._was_there = False
        self._nodes = NodeList(redis.nodes, redis.options.lease_ms)
        self._looked_at = scheduler.now()
        redis.on_away = self._on_away
        redis.on_isolated = self._on_isolated

    def join(self, tenant: TenantContext) -> TenantContext:
        """Have a tenant's rooms live on all nodes."""
        self._joined.append(tenant)
        redis, name = self.redis, self.redis.options.name
        tenant.share(redis.broker(tenant.id), MirrorStore(self._scheduler.now), redis.registry(tenant.id), name)
        return tenant

    def sweep(self) -> None:
        """Tenants follow how many nodes there are; those that are no more need nothing of the others."""
        if self._scheduler.now() - self._looked_at >= LOOK_S:
            self._looked_at = self._scheduler.now()
            self._nodes.look()
        live = max(1, self.redis.live_nodes)
        for tenant in self._joined:
            tenant.divide_among(live)
        for tenant in [one for one in self._joined if one.removed and not (hasattr(one, "ref") and one.ref.alive)]:
            self._joined.remove(tenant)
            if all(one.id != tenant.id for one in self._joined):
                self.redis.drop(tenant.id)

    async def nodes(self) -> list[NodeInfo] | None:
        """All of them; None: Redis is away."""
        answer: asyncio.Future[list[NodeInfo] | Unavailable] = asyncio.get_running_loop().create_future()
        self._nodes.ask(lambda found: None if answer.done() else answer.set_result(found))
        found = await answer
        return None if isinstance(found, Unavailable) else found

    def announce(self) -> None:
        """Others see at once what this one says of itself."""
        self.redis.announce_now()

    async def start(self) -> None:
        """Connect, or go on trying. Raises OperatorError for what an operator must change."""
        await self.redis.start()

    async def close(self) -> None:
        await self.redis.close()

    @property
    def unready(self) -> str | None:
        """Why nobody should be sent here, if so: it has never had Redis, or has been without it for too long."""
        if not self._was_there:
            return "waiting for redis"
        return "isolated" if self.redis.isolated else None

    def figures(self) -> ClusterFigures:
        """What there is to say of it at this moment."""
        redis, counts = self.redis, self.redis.figures
        return ClusterFigures(
            away=redis.away,
            live_nodes=redis.live_nodes,
            connections_lost=counts.lost,
            fenced=counts.fenced,
            reaped=counts.reaped,
            differing=self._nodes.differing,
            lease_s=redis.options.lease_ms / 1000,
            lease_age_s=redis.lease_age_s,
            degraded=self._told,
            degradations=self._times_told,
            round_trips=counts.round_trips,
        )

    def _on_away(self, away: bool) -> None:
        self._outage += 1
        if away:
            self._scheduler.call_later(TOLD_AFTER_S, self._tell, self._outage)
            return
        self._was_there = True
        if self._told:
            self._told = False
            self._say(Degraded(False))

    def _tell(self, outage: int) -> None:
        if outage == self._outage and self.redis.away:
            self._told = True
            self._times_told += 1
            self._say(Degraded(True))

    def _on_isolated(self, isolated: bool) -> None:
        if isolated and self._closes:
            self._say(CloseAll(CloseCode.SERVICE_RESTART, "the node has lost the others"))

    def _say(self, message: object) -> None:
        for tenant in self._tenants():
            if hasattr(tenant, "ref"):
                tenant.ref.tell_control(message)
