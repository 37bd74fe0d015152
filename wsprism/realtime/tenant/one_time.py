"""One tenant's one-time tickets: minted for the internal API, redeemed at a handshake or a refresh.

They belong to the tenant, not to its authenticator, so that they outlive a reload. A ticket itself is never kept, only
its hash. Check and removal are one synchronous step: no interleaving lets two in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wsprism.policy.expiring import ExpiringTable
from wsprism.ports import Principal, SharedState, TicketRefusal, TicketRequest, Unavailable
from wsprism.realtime.tenant.state import owner_as_kept, owner_from
from wsprism.realtime.waiting import answer_of

if TYPE_CHECKING:
    from wsprism.realtime.tenant.state import TenantState

__all__ = ["MAX_TICKETS", "OneTimeTickets", "may_be_one_time"]

MAX_TICKETS = 65_536
"""Minted and not used yet, per tenant."""

_TICKET_BYTES = 32
_PATIENCE_S = 5.0
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
"""What ``secrets.token_urlsafe`` makes of so many bytes."""


def may_be_one_time(ticket: str) -> bool:
    """Whether it has the form of a one-time ticket; whether it is one only its gateway can tell."""
    return _FORM.fullmatch(ticket) is not None


class OneTimeTickets:
    """``unix_now`` is Unix time in seconds. An ``Authenticator`` too, for a tenant whose ``auth`` has ``one_time``."""

    def __init__(self, unix_now: Callable[[], float], max_tickets: int = MAX_TICKETS) -> None:
        self._unix_now = unix_now
        self._state: TenantState | None = None
        self.shared: SharedState | None = None
        """Where other nodes share the tenant: what they know of its tickets."""
        self._principals: ExpiringTable[bytes, Principal] = ExpiringTable(max_tickets)

    def __len__(self) -> int:
        return len(self._principals)

    def keep_in(self, state: TenantState) -> None:
        """Have the unused tickets outlive a restart, and take those that have."""
        self._state = state
        now = self._unix_now()
        for ticket, principal, expires_at in state.tickets(now):
            self._principals.put(ticket, principal, expires_at, now)

    def mint(
        self,
        user: str,
        ttl_s: float,
        claims: Mapping[str, Any] | None = None,
        rooms: tuple[str, ...] | None = None,
        read_only: bool = False,
    ) -> tuple[str, float] | None:
        """A new ticket and the Unix time until which it can be used, once. None: too many wait to be used.

        ``claims`` become the principal's metadata. The connection that it opens does not end with the ticket's time.
        """
        now, ticket, hashed = self._unix_now(), *_new_ticket()
        expires_at = now + ttl_s
        principal = Principal(user, rooms=rooms, read_only=read_only, metadata=dict(claims or {}))
        if not self._principals.put(hashed, principal, expires_at, now):
            return None
        if self._state is not None:
            self._state.minted(hashed, principal, expires_at)
        return ticket, expires_at

    async def mint_for_all(
        self, shared: SharedState, principal: Principal, ttl_s: float
    ) -> tuple[str, float] | Unavailable | None:
        """The same, to be used at any node; ``Unavailable``: they cannot be told."""
        ticket, hashed = _new_ticket()
        expires_at = self._unix_now() + ttl_s
        kept: bool | Unavailable | None = await answer_of(
            lambda done: shared.keep_ticket(hashed, owner_as_kept(principal), ttl_s, MAX_TICKETS, done), _PATIENCE_S
        )
        if kept is None:
            return Unavailable.AWAY
        if isinstance(kept, Unavailable):
            return kept
        return (ticket, expires_at) if kept else None

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        """Redeem a ticket."""
        hashed = _hash(request.ticket)
        if self.shared is not None:
            return await _redeem(self.shared, hashed)
        principal = self._principals.take(hashed, self._unix_now())
        if principal is None:
            return TicketRefusal.REFUSED
        if self._state is not None:
            self._state.used(hashed)
        return principal

    async def close(self) -> None:
        """Nothing: the tickets are the tenant's."""


async def _redeem(shared: SharedState, hashed: bytes) -> Principal | TicketRefusal:
    owner: bytes | Unavailable | None = await answer_of(lambda done: shared.take_ticket(hashed, done), _PATIENCE_S)
    if owner is None or isinstance(owner, Unavailable):
        return TicketRefusal.CANNOT_TELL
    return owner_from(owner) if owner else TicketRefusal.REFUSED


def _new_ticket() -> tuple[str, bytes]:
    """And its hash."""
    while (ticket := secrets.token_urlsafe(_TICKET_BYTES)).startswith("-"):
        pass  # on a command line it would be an option
    return ticket, _hash(ticket)


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
