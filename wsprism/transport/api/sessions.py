"""Handlers of what is done to sessions: members of rooms, disconnects, tickets and their revocation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from wsprism.policy.revocation import Revocable, Revocation
from wsprism.ports import Listed, Principal, Unavailable
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import LiftRevocation, Revoke
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, JoinForBackend, RemoveForBackend, Who
from wsprism.realtime.tenant.over_nodes import refusal_of
from wsprism.transport.api.answers import LiftedAnswer, RevocationItem, RevocationPage, SessionsAnswer, TicketAnswer
from wsprism.transport.api.asked import asked
from wsprism.transport.api.calls import Call, ask_tenant, settle
from wsprism.transport.api.paging import read_cursor, show_cursor
from wsprism.transport.api.problems import Problem, problem_of

__all__ = ["disconnect", "join", "lift_revocation", "list_revocations", "mint_ticket", "remove", "revoke"]

_REVOKED_FOR_S: Final = 3600.0

_NO_ONE_TIME: Final = Problem(
    409, "the tenant takes no one-time tickets: its auth has no one_time", ErrorCode.NOT_ALLOWED
)
_TOO_MANY_TICKETS: Final = Problem(503, "too many tickets wait to be used", headers={"Retry-After": "5"})


async def join(call: Call) -> SessionsAnswer | Problem:
    return await _sessions(
        call, JoinForBackend(call.path["room"], Who(call.body.user, call.body.sid), call.body.active)
    )


async def remove(call: Call) -> SessionsAnswer | Problem:
    return await _sessions(call, RemoveForBackend(call.path["room"], Who(call.body.user, call.body.sid)))


async def disconnect(call: Call) -> SessionsAnswer | Problem:
    body = call.body
    who = Who(body.user, body.sid) if body.room is None else None
    return await _sessions(call, DisconnectForBackend(who, body.room, body.code, body.reason))


async def revoke(call: Call) -> SessionsAnswer | Problem:
    body = call.body
    named = ((Revocable.USER, body.user), (Revocable.SID, body.sid), (Revocable.TOKEN_ID, body.token_id))
    what, name = next((what, name) for what, name in named if name is not None)
    until_s = body.until_s if body.until_s is not None else call.tenant.unix_now() + _REVOKED_FOR_S
    answer = await _sessions(call, Revoke(what, name, until_s, body.reason or ""))
    return answer if isinstance(answer, Problem) else await settle(call.tenant) or answer


async def list_revocations(call: Call) -> RevocationPage | Problem:
    tenant, after, limit = call.tenant, read_cursor(call.query.cursor), call.query.limit
    registry = tenant.shared
    if registry is None:
        found, last = tenant.revocations.page(after, limit, tenant.unix_now())
    else:
        page: Listed[Revocation] | Problem = await asked(lambda done: registry.list_revocations(after, limit, done))
        if isinstance(page, Problem):
            return page
        found, last = list(page.items), page.behind
    items = [
        RevocationItem(what=one.what.value, name=one.name, until_s=one.until_s, reason=one.reason or None)
        for one in found
    ]
    return RevocationPage(items=items, next_cursor=show_cursor(last))


async def lift_revocation(call: Call) -> LiftedAnswer | Problem:
    answer = await ask_tenant(call.tenant, LiftRevocation(Revocable(call.path["what"]), call.path["name"]))
    if isinstance(answer, Problem):
        return answer
    return await settle(call.tenant) or LiftedAnswer(revocations=answer)


async def mint_ticket(call: Call) -> TicketAnswer | Problem:
    body = call.body
    if not call.tenant.rules.one_time_tickets:
        return _NO_ONE_TIME
    rooms = None if body.rooms is None else tuple(body.rooms)
    tenant = call.tenant
    if tenant.shared is None:
        minted = tenant.one_time.mint(body.user, body.ttl_s, body.claims, rooms, body.read_only)
    else:
        principal = Principal(body.user, rooms=rooms, read_only=body.read_only, metadata=body.claims or {})
        kept = await tenant.one_time.mint_for_all(tenant.shared, principal, body.ttl_s)
        if isinstance(kept, Unavailable):
            return problem_of(refusal_of(kept))
        minted = kept
    if minted is None:
        return _TOO_MANY_TICKETS
    ticket, expires_at = minted
    return TicketAnswer(ticket=ticket, expires_at=datetime.fromtimestamp(expires_at, UTC))


async def _sessions(call: Call, message: object) -> SessionsAnswer | Problem:
    answer = await ask_tenant(call.tenant, message)
    return answer if isinstance(answer, Problem) else SessionsAnswer(sessions=answer)
