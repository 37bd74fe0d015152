"""The built-in ways to judge a ticket, behind the ``Authenticator`` port, and the list of them that a tenant names."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from wsprism.ports import Authenticator, Principal, TicketRequest
from wsprism.protocol.hot import MAX_SENDER_BYTES
from wsprism.realtime.one_time import OneTimeTickets
from wsprism.settings import AuthSettings, DevAuth, OneTimeAuth, TokensAuth

__all__ = ["DevAuthenticator", "FirstOf", "TokensAuthenticator", "build_authenticator"]

MAX_USER_CHARACTERS = 128


class DevAuthenticator:
    """Ticket ``dev`` is ``user:dev``, ``dev:<name>`` is ``user:<name>``. For development: anybody gets in."""

    async def authenticate(self, request: TicketRequest) -> Principal | None:
        scheme, colon, name = request.ticket.partition(":")
        if scheme != "dev" or (colon and not name) or len(name) > MAX_USER_CHARACTERS or not name.isprintable():
            return None
        user = f"user:{name or 'dev'}"
        return Principal(user) if len(user.encode()) <= MAX_SENDER_BYTES else None

    async def close(self) -> None:
        """Nothing to let go of."""


class TokensAuthenticator:
    """A fixed map of tickets to users. Every ticket is compared in full, so that time tells nothing."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = [(ticket.encode(), user) for ticket, user in tokens.items()]

    async def authenticate(self, request: TicketRequest) -> Principal | None:
        offered = request.ticket.encode("utf-8", "surrogatepass")
        found: str | None = None
        for ticket, user in self._tokens:
            if hmac.compare_digest(ticket, offered):
                found = user
        return None if found is None else Principal(found)

    async def close(self) -> None:
        """Nothing to let go of."""


class FirstOf:
    """Several authenticators in order; the first that accepts the ticket decides. None of them: all are refused."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate(self, request: TicketRequest) -> Principal | None:
        for authenticator in self._authenticators:
            principal = await authenticator.authenticate(request)
            if principal is not None:
                return principal
        return None

    async def close(self) -> None:
        """Close them all."""
        for authenticator in self._authenticators:
            await authenticator.close()


def build_authenticator(settings: Sequence[AuthSettings], one_time: OneTimeTickets) -> Authenticator:
    """The authenticator that a tenant's ``auth`` describes; ``one_time`` are the tenant's own tickets."""
    authenticators = [_build(one, one_time) for one in settings]
    return authenticators[0] if len(authenticators) == 1 else FirstOf(authenticators)


def _build(settings: AuthSettings, one_time: OneTimeTickets) -> Authenticator:
    match settings:
        case DevAuth():
            return DevAuthenticator()
        case TokensAuth():
            return TokensAuthenticator(dict(settings.tokens))
        case OneTimeAuth():
            return one_time
        case _:
            raise NotImplementedError(settings.kind)
