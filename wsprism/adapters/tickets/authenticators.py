"""The built-in ways to judge a ticket, behind the ``Authenticator`` port, and the list of them that a tenant names."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import assert_never

from wsprism.adapters.tickets.jwks import JwksKeys, KeySource, OneKey
from wsprism.adapters.tickets.jwt_tickets import JwtAuthenticator
from wsprism.adapters.tickets.webhook import WebhookAuthenticator
from wsprism.policy.users import is_user_id
from wsprism.ports import Authenticator, Clock, Principal, TicketRefusal, TicketRequest
from wsprism.realtime.tenant.one_time import OneTimeTickets
from wsprism.settings import AuthSettings, DevAuth, JwtAuth, OneTimeAuth, TenantSettings, TokensAuth, WebhookAuth

__all__ = ["DevAuthenticator", "FirstOf", "TokensAuthenticator", "build_authenticator", "build_one"]


_MAX_DEV_CHARACTERS = 128
_MOST_HOPE_FIRST = (TicketRefusal.CANNOT_TELL, TicketRefusal.EXPIRED)


class DevAuthenticator:
    """Ticket ``dev`` is ``user:dev``, ``dev:<name>`` is ``user:<name>``. For development: anybody gets in."""

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        scheme, colon, name = request.ticket.partition(":")
        user = f"user:{name or 'dev'}"
        if scheme != "dev" or (colon and not name) or len(name) > _MAX_DEV_CHARACTERS or not is_user_id(user):
            return TicketRefusal.REFUSED
        return Principal(user)

    async def close(self) -> None:
        """Nothing to let go of."""


class TokensAuthenticator:
    """A fixed map of tickets to users. Every ticket is compared in full, so that time tells nothing."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = [(ticket.encode(), user) for ticket, user in tokens.items()]

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        offered = request.ticket.encode("utf-8", "surrogatepass")
        found: str | None = None
        for ticket, user in self._tokens:
            if hmac.compare_digest(ticket, offered):
                found = user
        return TicketRefusal.REFUSED if found is None else Principal(found)

    async def close(self) -> None:
        """Nothing to let go of."""


class FirstOf:
    """Several authenticators in order; the first that accepts the ticket decides.

    Of several refusals the one that leaves most hope is told: cannot tell, expired, refused.
    """

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)
        self._under_way = 0
        self._all_done: asyncio.Future[None] | None = None

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        self._under_way += 1
        refusals = set()
        try:
            for authenticator in self._authenticators:
                verdict = await authenticator.authenticate(request)
                if isinstance(verdict, Principal):
                    return verdict
                refusals.add(verdict)
            return next((one for one in _MOST_HOPE_FIRST if one in refusals), TicketRefusal.REFUSED)
        finally:
            self._under_way -= 1
            if not self._under_way and self._all_done is not None and not self._all_done.done():
                self._all_done.set_result(None)

    async def close(self) -> None:
        """Close them all, once the questions under way are answered: a reload refuses nobody."""
        if self._under_way:
            self._all_done = asyncio.get_running_loop().create_future()
            await self._all_done
        for authenticator in self._authenticators:
            await authenticator.close()


def build_authenticator(
    tenant: TenantSettings, one_time: OneTimeTickets, now: Clock, unix_now: Clock = time.time
) -> Authenticator:
    """The authenticator that a tenant's ``auth`` describes; ``one_time`` are the tenant's own tickets.

    ``now`` is monotonic, ``unix_now`` Unix time. Nobody is asked for anything before the first ticket.
    """

    def build(settings: AuthSettings) -> Authenticator:
        return build_one(tenant.id, settings, one_time, now, unix_now)

    return FirstOf([build(one) for one in tenant.auth])


def build_one(
    tenant: str, settings: AuthSettings, one_time: OneTimeTickets, now: Clock, unix_now: Clock
) -> Authenticator:
    """The authenticator of one entry of ``auth``."""
    match settings:
        case DevAuth():
            return DevAuthenticator()
        case TokensAuth():
            return TokensAuthenticator(dict(settings.tokens))
        case OneTimeAuth():
            return one_time
        case JwtAuth():
            return JwtAuthenticator(settings, _key_source(tenant, settings, now), unix_now)
        case WebhookAuth():
            return WebhookAuthenticator(tenant, settings, unix_now)
        case _:
            assert_never(settings)


def _key_source(tenant: str, settings: JwtAuth, now: Clock) -> KeySource:
    return OneKey(settings.key()) if settings.jwks_url is None else JwksKeys(tenant, settings, settings.jwks_url, now)
