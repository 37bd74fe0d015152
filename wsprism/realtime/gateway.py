"""The root of the actors: supervises one tenant actor per tenant, and stops them in order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count

from actors import Actor, MailboxSpec, Supervision
from wsprism.realtime.messages import AddTenants
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant.actor import Tenant

__all__ = ["Gateway"]

_TENANT_MAILBOX = MailboxSpec(capacity=65_536, batch=256)
_TENANT_SUPERVISION = Supervision(
    max_restarts=None, within_s=60.0, at_once=3, backoff_initial_s=0.1, backoff_max_s=10.0
)
"""A tenant's crashes stay its own, however many: it is restarted ever later, and its siblings never hear of it."""


class Gateway(Actor):
    """Its children are the tenants. One that was removed stops by itself."""

    def __init__(self, tenants: Sequence[TenantContext], flusher: Flusher) -> None:
        self._tenants = tenants
        self._flusher = flusher

    def on_start(self) -> None:
        self._add(self._tenants)

    def receive(self, message: AddTenants) -> None:
        self._add(message.tenants)

    def _add(self, tenants: Sequence[TenantContext]) -> None:
        for tenant in tenants:
            self.context.spawn(
                lambda tenant=tenant: Tenant(tenant, self._flusher),  # type: ignore[misc]
                name=self._free_name(f"tenant-{tenant.id}"),
                mailbox=_TENANT_MAILBOX,
                supervision=_TENANT_SUPERVISION,
            )

    def _free_name(self, name: str) -> str:
        """``name``; with a number while a removed tenant of this id is still closing its sessions."""
        taken = {child.name for child in self.context.children}
        return next(one for one in chain([name], (f"{name}~{number}" for number in count(2))) if one not in taken)
