"""Tickets for a tenant, made from what its configuration holds: for ``ticket mint`` and for ``connect`` without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsprism.errors import OperatorError

if TYPE_CHECKING:
    from wsprism.settings import Settings, TenantSettings

__all__ = ["Wanted", "find_tenant", "mint"]

_DEV_PREFIX = "user:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """For whom a ticket is."""

    user: str


def find_tenant(settings: Settings, tenant_id: str | None) -> TenantSettings:
    """The tenant of that id, or the only one. Raises OperatorError when there is none, or a choice."""
    tenants = {tenant.id: tenant for tenant in settings.tenants}
    if tenant_id is None and len(tenants) == 1:
        return settings.tenants[0]
    if tenant_id is None:
        raise OperatorError(f"name one with --tenant: {', '.join(tenants)}")
    if tenant_id not in tenants:
        raise OperatorError(f"no tenant {tenant_id!r}; there are: {', '.join(tenants)}")
    return tenants[tenant_id]


def mint(tenant: TenantSettings, wanted: Wanted) -> str:
    """A ticket by the first of the tenant's ``auth`` that can make one. Raises OperatorError with each one's reason."""
    reasons: list[str] = []
    for auth in tenant.auth:
        made = _mint(auth, wanted)
        if isinstance(made, str):
            return made
        reasons.extend(made)
    raise OperatorError(f"no ticket of tenant {tenant.id!r} for {wanted.user!r}: " + ("; ".join(reasons) or "no auth"))


def _mint(auth: object, wanted: Wanted) -> str | Sequence[str]:
    from wsprism.settings import DevAuth, TokensAuth

    match auth:
        case DevAuth():
            return f"dev:{wanted.user.removeprefix(_DEV_PREFIX)}"
        case TokensAuth(tokens=tokens):
            return next((ticket for ticket, user in tokens.items() if user == wanted.user), ["no token is that user's"])
        case _:
            return ["not yet"]
