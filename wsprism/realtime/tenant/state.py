"""One tenant's part of what outlives a restart: its revocations, unused one-time tickets and generations.

Turns them into entries of a ``StateStore`` and back. Who decides what is kept is whoever calls.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.policy.revocation import Revocable, Revocation
from wsprism.ports import Principal, StateKind, StateStore

__all__ = ["RESERVED_GENERATIONS", "TenantState", "owner_as_kept", "owner_from"]

RESERVED_GENERATIONS: Final = 100_000
"""Generations are put on the disk so far ahead of those that are given: more than anybody opens before it has them."""

_GENERATION_KEY: Final = b"next"


class _Ticket(msgspec.Struct, array_like=True):
    user: str
    rooms: tuple[str, ...] | None
    read_only: bool
    metadata: dict[str, Any]


def owner_as_kept(principal: Principal) -> bytes:
    """Whom a one-time ticket stands for, as it is kept."""
    return msgspec.json.encode(_Ticket(principal.user, principal.rooms, principal.read_only, dict(principal.metadata)))


def owner_from(value: bytes) -> Principal:
    """The same, read again."""
    kept = msgspec.json.decode(value, type=_Ticket)
    return Principal(kept.user, rooms=kept.rooms, read_only=kept.read_only, metadata=kept.metadata)


class TenantState:
    """The entries of one tenant in ``store``. Times are Unix times."""

    def __init__(self, store: StateStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def settled(self) -> None:
        """Return when every change so far survives a crash."""
        await self._store.settled()

    def revocations(self, now_s: float) -> list[Revocation]:
        """Those that are still in force."""
        found = []
        for key, reason, until_s in self._store.entries(self._tenant, StateKind.REVOCATION, now_s):
            what, _, name = key.decode("utf-8", "surrogatepass").partition(":")
            found.append(Revocation(Revocable(what), name, until_s or 0.0, reason.decode("utf-8", "surrogatepass")))
        return found

    def revoked(self, what: Revocable, name: str, until_s: float, reason: str) -> None:
        """A name is locked out."""
        value = reason.encode("utf-8", "surrogatepass")
        self._store.put(self._tenant, StateKind.REVOCATION, _revocation_key(what, name), value, until_s)

    def lifted(self, what: Revocable, name: str) -> None:
        """It is let in again."""
        self._store.drop(self._tenant, StateKind.REVOCATION, _revocation_key(what, name))

    def tickets(self, now_s: float) -> list[tuple[bytes, Principal, float]]:
        """Hash, owner and end of every one-time ticket that can still be used."""
        found = []
        for ticket, value, expires_at in self._store.entries(self._tenant, StateKind.TICKET, now_s):
            found.append((ticket, owner_from(value), expires_at or 0.0))
        return found

    def minted(self, ticket: bytes, principal: Principal, expires_at: float) -> None:
        """A one-time ticket can be used; ``ticket`` is its hash."""
        self._store.put(self._tenant, StateKind.TICKET, ticket, owner_as_kept(principal), expires_at)

    def used(self, ticket: bytes) -> None:
        """It cannot be used any more."""
        self._store.drop(self._tenant, StateKind.TICKET, ticket)

    def reserved_generation(self) -> int:
        """No generation above this one has ever been given."""
        entries = self._store.entries(self._tenant, StateKind.GENERATION, 0.0)
        return int(entries[0][1]) if entries else 0

    def reserve_generation(self, generation: int) -> None:
        """None above ``generation`` is given before this has been called again."""
        self._store.put(self._tenant, StateKind.GENERATION, _GENERATION_KEY, str(generation).encode())


def _revocation_key(what: Revocable, name: str) -> bytes:
    return f"{what.value}:{name}".encode("utf-8", "surrogatepass")
