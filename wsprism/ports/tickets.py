"""Who judges tickets, what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec

__all__ = ["Authenticator", "Principal", "TicketRefusal", "TicketRequest"]


class Principal(msgspec.Struct, frozen=True):
    """Who a ticket stands for.

    ``expires_at`` is Unix time in seconds (None: never). ``rooms`` are the patterns of rooms that the ticket may join
    (None: any), ``read_only`` forbids publishing, ``token_id`` names the ticket for revocation. ``info`` is JSON that
    presence shows of the user (None: nothing).
    """

    user: str
    expires_at: float | None = None
    rooms: tuple[str, ...] | None = None
    read_only: bool = False
    token_id: str | None = None
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    info: msgspec.Raw | None = None

    def may_enter(self, room: str) -> bool:
        """Whether the ticket lets its owner join the room, or publish into it from outside."""
        return self.rooms is None or any(fnmatchcase(room, pattern) for pattern in self.rooms)


class TicketRequest(msgspec.Struct, frozen=True, gc=False):
    """A ticket to be judged, with what is known of the request that carried it."""

    tenant: str
    ticket: str
    remote_address: str
    origin: str | None = None
    user_agent: str | None = None


class TicketRefusal(Enum):
    """Why a ticket lets nobody in; a refused handshake's reason. "Cannot tell" is no "no": the client may come back."""

    REFUSED = "ticket"
    EXPIRED = "ticket_expired"
    CANNOT_TELL = "ticket_unjudged"
    """Who would have to judge it (a key server, a backend) is away or gave no usable answer."""


class Authenticator(Protocol):
    """Ticket in, principal or refusal out. It may wait (a key server, a backend): it runs before the upgrade."""

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        """The principal, or why this authenticator does not accept the ticket. Never raises for a bad ticket."""
        ...

    async def close(self) -> None:
        """Let go of clients and caches; nothing is asked afterwards."""
        ...
