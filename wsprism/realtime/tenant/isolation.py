"""What a tenant's sessions are told, and what becomes of them, while this node cannot reach the others.

Functions and messages of the tenant actor. Whoever watches the nodes decides when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wsprism.protocol import sysmsg
from wsprism.realtime.messages import CloseAll, CloseConnection, Degraded

if TYPE_CHECKING:
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["ISOLATION_HANDLERS"]


def _degraded(tenant: Tenant, message: Degraded) -> None:
    def tell(some: Sequence[Session]) -> int:
        told = [one for one in tenant.still_here(some) if one.outlet.transport is not None]
        for session in told:
            session.outlet.send(sysmsg.degraded(message.degraded, session.trace_id))
        return len(told)

    tenant.slices.begin(list(tenant.registry), tell)


def _close_all(tenant: Tenant, message: CloseAll) -> None:
    farewell = CloseConnection(message.code, message.reason)

    def end(some: Sequence[Session]) -> int:
        meant = tenant.still_here(some)
        for session in meant:
            tenant.end(session, farewell)
        return len(meant)

    tenant.slices.begin(list(tenant.registry), end)


ISOLATION_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {CloseAll: _close_all, Degraded: _degraded}
"""By the message's type, for the tenant."""
