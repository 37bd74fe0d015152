"""What a tenant is told to become or to do, and what every actor tells itself when it works in slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsprism.policy.revocation import Revocable
    from wsprism.realtime.rules import TenantContext

__all__ = [
    "AddTenants",
    "CloseAll",
    "Degraded",
    "LiftRevocation",
    "NextSlice",
    "RemoveTenant",
    "Revoke",
    "RulesChanged",
]


@dataclass(frozen=True, slots=True)
class AddTenants:
    """To the gateway: supervise these too. Once it is answered they have their ``ref``."""

    tenants: Sequence[TenantContext]


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """To a tenant, and on to its connections: what they hold of the tenant's rules is to follow the current ones."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """To a tenant: the other nodes cannot be reached, or can again. Its clients are to know."""

    degraded: bool


@dataclass(frozen=True, slots=True)
class CloseAll:
    """To a tenant: close every session with this code. They may come back."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveTenant:
    """To a tenant that the configuration has no more: close every session 4504, and stop once they are gone."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """To a tenant: close the sessions that are meant (4502), and let none of them in until ``until_s`` (Unix time).

    The answer is the number of sessions that were closed, or ``Denied``: the table is full, and nothing was done.
    """

    what: Revocable
    name: str
    until_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LiftRevocation:
    """To a tenant: let this name in again. The answer is 1, or 0: it was not locked out."""

    what: Revocable
    name: str


@dataclass(frozen=True, slots=True)
class NextSlice:
    """An actor to itself: go on with what is done in slices."""
