"""Judges a ticket by a configuration as its gateway would, and keeps each authenticator's reason."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from wsprism.adapters.tickets.authenticators import build_one
from wsprism.adapters.tickets.jwt_tickets import JwtAuthenticator
from wsprism.cli.minting import find_tenant
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.realtime.tenant.one_time import OneTimeTickets, may_be_one_time
from wsprism.settings import AuthSettings, OneTimeAuth, TenantSettings, WebhookAuth, load_settings

__all__ = ["judge"]


def judge(config: str, tenant_id: str | None, ticket: str) -> dict[str, Any]:
    """``tenant``, whether it is ``accepted``, and of each of its ``judged`` authenticators kind, accepted and why.

    ``accepted`` is None where only somebody who was not asked can tell.
    Raises SettingsError for a faulty configuration, OperatorError for an unknown tenant.
    """
    tenant = find_tenant(load_settings(config), tenant_id)
    judged = [asyncio.run(_judge(tenant, auth, ticket)) for auth in tenant.auth]
    words = {one["accepted"] for one in judged}
    return {"tenant": tenant.id, "accepted": True if True in words else None if None in words else False,
            "judged": judged}  # fmt: skip


async def _judge(tenant: TenantSettings, auth: AuthSettings, ticket: str) -> dict[str, Any]:
    if isinstance(auth, OneTimeAuth) and may_be_one_time(ticket):
        return {"kind": auth.kind, "accepted": None, "why": "only the running gateway can tell: to ask would use it up"}
    if isinstance(auth, WebhookAuth):
        return {"kind": auth.kind, "accepted": None, "why": "only the backend can tell, which was not asked"}
    authenticator = build_one(tenant.id, auth, OneTimeTickets(time.time), time.monotonic, time.time)
    request = TicketRequest(tenant.id, ticket, remote_address="127.0.0.1")
    outcome: Principal | TicketRefusal | str
    try:
        if isinstance(authenticator, JwtAuthenticator):
            outcome = await authenticator.judge(request)
        else:
            outcome = await authenticator.authenticate(request)
    finally:
        await authenticator.close()
    accepted = isinstance(outcome, Principal)
    return {"kind": auth.kind, "accepted": accepted, "why": _told(outcome)}


def _told(outcome: Principal | TicketRefusal | str) -> str:
    if isinstance(outcome, str):
        return outcome
    if isinstance(outcome, TicketRefusal):
        return "it is not one of its tickets"
    parts = [f"it is {outcome.user}'s"]
    if outcome.rooms is not None:
        parts.append(f"for the rooms {', '.join(outcome.rooms) or '(none)'}")
    if outcome.read_only:
        parts.append("read only")
    if outcome.expires_at is not None:
        parts.append(f"for another {max(0, round(outcome.expires_at - time.time()))} s")
    return ", ".join(parts)
