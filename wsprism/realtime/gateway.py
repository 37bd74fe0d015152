"""The root of the actors: supervises one tenant actor per tenant, and stops them in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors import Actor, ActorRef, MailboxSpec, Supervision
from wsprism.realtime.flusher import Flusher
from wsprism.realtime.messages import DrainTenant
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant import Tenant

__all__ = ["Gateway"]

_TENANT_MAILBOX = MailboxSpec(capacity=65_536, batch=256)
_TENANT_SUPERVISION = Supervision(max_restarts=10, within_s=60.0)


class Gateway(Actor):
    """Its children are the tenants, by id."""

    def __init__(self, tenants: Sequence[TenantContext], flusher: Flusher) -> None:
        self._tenants = tenants
        self._flusher = flusher
        self._refs: dict[str, ActorRef] = {}

    def on_start(self) -> None:
        for tenant in self._tenants:
            self._refs[tenant.id] = self.context.spawn(
                lambda tenant=tenant: Tenant(tenant, self._flusher),  # type: ignore[misc]
                name=f"tenant-{tenant.id}",
                mailbox=_TENANT_MAILBOX,
                supervision=_TENANT_SUPERVISION,
            )

    def receive(self, message: object) -> object:
        return _HANDLERS[type(message)](self, message)

    def _drain(self, message: DrainTenant) -> None:
        for ref in self._refs.values():
            ref.tell_control(message)


_HANDLERS: dict[type, Callable[[Gateway, Any], object]] = {DrainTenant: Gateway._drain}
