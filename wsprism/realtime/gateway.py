"""The root of the actors: supervises one tenant actor per tenant, and stops them in order."""

from __future__ import annotations

from collections.abc import Sequence

from actors import Actor, MailboxSpec, Supervision
from wsprism.realtime.flusher import Flusher
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

    def on_start(self) -> None:
        for tenant in self._tenants:
            self.context.spawn(
                lambda tenant=tenant: Tenant(tenant, self._flusher),  # type: ignore[misc]
                name=f"tenant-{tenant.id}",
                mailbox=_TENANT_MAILBOX,
                supervision=_TENANT_SUPERVISION,
            )
