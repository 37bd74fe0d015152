"""Tickets that are JSON Web Tokens (RFC 7519): signature first, then the claims.

Which algorithms may be is the configuration's word alone. Verification runs on the loop: ADR 0005 has the figures.
Why a ticket was refused is a debug line of ``wsprism.tickets``; the client only hears that it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from wsprism.adapters.tickets.jwks import KeySource
from wsprism.adapters.tickets.principals import is_unix_time, principal_of
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.jws import claimed_issuer, parse_token, verified_claims
from wsprism.settings import JwtAuth

__all__ = ["JwtAuthenticator", "judge_claims"]

_log = logging.getLogger("wsprism.tickets")

_EXPIRED = "it has expired"
_NO_KEYS = "the issuer's keys cannot be had now"
_REFUSALS = {_EXPIRED: TicketRefusal.EXPIRED, _NO_KEYS: TicketRefusal.CANNOT_TELL}
"""Reasons that are not a plain no."""


class JwtAuthenticator:
    """``unix_now`` is Unix time in seconds; ``keys`` belong to this authenticator alone."""

    def __init__(self, settings: JwtAuth, keys: KeySource, unix_now: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = keys
        self._unix_now = unix_now

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        outcome = await self.judge(request)
        if isinstance(outcome, str):
            _log.debug("a JWT was refused", extra={"tenant": request.tenant, "why": outcome})
            return _REFUSALS.get(outcome, TicketRefusal.REFUSED)
        return outcome

    async def judge(self, request: TicketRequest) -> Principal | str:
        """The principal, or for an operator why there is none."""
        token = parse_token(request.ticket)
        if token is None:
            return "it is no signed token"
        if token.algorithm not in self._settings.algorithms:
            return "its algorithm is not allowed"
        if self._settings.issuer is not None and claimed_issuer(token) != self._settings.issuer:
            return "its issuer is another"  # said before a key server is asked for another issuer's key
        key = await self._keys.find(token.key_id, token.algorithm)
        if key is None:
            return "its key is unknown" if self._keys.known else _NO_KEYS
        claims = verified_claims(token, key)
        if claims is None:
            return "its signature is wrong"
        return judge_claims(claims, self._settings, request.tenant, self._unix_now())

    async def close(self) -> None:
        """Ask the issuer no more."""
        await self._keys.close()


def judge_claims(claims: Mapping[str, Any], settings: JwtAuth, tenant: str, unix_now: float) -> Principal | str:
    """Who verified ``claims`` stand for, or why nobody.

    A connection may last as long as the token would be accepted: ``exp`` and the leeway.
    """
    leeway_s = settings.leeway_s
    expires, begins = claims.get("exp"), claims.get("nbf")
    if expires is None and settings.require_exp:
        return "it has no exp"
    if not (expires is None or is_unix_time(expires)) or not (begins is None or is_unix_time(begins)):
        return "exp or nbf is no time"
    if expires is not None and unix_now >= expires + leeway_s:
        return _EXPIRED
    if begins is not None and unix_now + leeway_s < begins:
        return "it is not valid yet"
    if settings.issuer is not None and claims.get("iss") != settings.issuer:
        return "its issuer is another"
    if not _is_meant(claims.get("aud"), settings.audience):
        return "its audience is another"
    if settings.tenant_claim is not None and claims.get(settings.tenant_claim) != tenant:
        return "its tenant is another"
    principal = principal_of(
        claims.get(settings.user_claim),
        expires_at=None if expires is None else expires + leeway_s,
        rooms=claims.get(settings.rooms_claim),
        read_only=claims.get(settings.read_only_claim),
        token_id=claims.get("jti"),
        info=None if settings.info_claim is None else claims.get(settings.info_claim),
    )
    return principal if isinstance(principal, Principal) else f"its {principal} is not usable"


def _is_meant(audience: Any, ours: str | None) -> bool:
    """RFC 7519 §4.1.3: a token with an audience is only for who is of it; ours, when we have one, must be named."""
    if audience is None:
        return ours is None
    named = audience if isinstance(audience, list) else [audience]
    return ours is not None and ours in named
