"""Handlers of the lists: tenants, sessions, rooms and their members, page by page.

A page is taken from the registry within one step of the loop, which no actor's turn interrupts, and never more than it;
what many sessions look like is then read in slices.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from datetime import UTC, datetime
from typing import Final

import msgspec

from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session
from wsprism.transport.api import answers, lists_over_nodes
from wsprism.transport.api.calls import Call
from wsprism.transport.api.models import SessionsQuery
from wsprism.transport.api.paging import read_cursor, show_cursor
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.shown import MAX_PAGE_BYTES, SESSION_BYTES, shown_session

__all__ = [
    "get_backend",
    "get_room",
    "get_services",
    "get_tenant",
    "get_user",
    "list_rooms",
    "list_sessions",
    "list_tenants",
]

_SLICE: Final = 2000
"""What is shown in one turn of the loop: a session counts ten, and one more for each of its rooms."""

_LOOKED_AT: Final = 5000
"""Sessions whose sid is compared in one turn of the loop."""


async def list_tenants(call: Call) -> answers.TenantPage:
    ids = sorted(tenant.id for tenant in call.gateway.tenants() if call.key.covers(tenant.id))
    first = bisect_right(ids, call.query.cursor) if call.query.cursor is not None else 0
    page = ids[first : first + call.query.limit]
    more = first + len(page) < len(ids)
    found = [tenant for one in page if (tenant := call.gateway.tenant(one)) is not None]
    items = [_shown_tenant(call, tenant) for tenant in found]
    return answers.TenantPage(items=items, next_cursor=page[-1] if more else None)


async def get_tenant(call: Call) -> answers.TenantAnswer:
    return _shown_tenant(call, call.tenant)


async def get_backend(call: Call) -> answers.BackendAnswer | Problem:
    backend = call.tenant.backend
    if backend is None:
        return Problem(404, "this tenant has no backend")
    now = backend.figures
    calls: dict[str, dict[str, int]] = {}
    for (kind, result), count in now.calls.items():
        calls.setdefault(kind, {})[result.value] = count
    return answers.BackendAnswer(
        node=now.node,
        calls=calls,
        in_flight=now.in_flight,
        waiting=now.waiting,
        breakers=dict(now.breakers),
        events=answers.BackendEvents(
            waiting=now.events_waiting,
            sent=now.events_sent,
            missed=now.events_missed,
            oldest_s=round(now.oldest_event_s, 3),
        ),
        last_failure=now.last_failure,
        streams=now.streams,
    )


async def get_services(call: Call) -> answers.ServicesAnswer:
    found = [one.status for one in call.tenant.rules.services.hosted]
    items = [
        answers.ServiceItem.model_validate(
            {
                "lane": one.lane,
                "name": one.name,
                "kind": one.kind,
                "since": datetime.fromtimestamp(one.since, UTC),
                "version": one.version,
                "state": "suspended" if one.suspended else "running",
                "last_fault": one.last_fault,
            }
        )
        for one in found
    ]
    return answers.ServicesAnswer(items=items)


async def list_sessions(call: Call) -> answers.SessionPage | Problem:
    after = read_cursor(call.query.cursor)
    query, tenant = call.query, call.tenant
    if tenant.shared is not None and (query.room is None or tenant.broker_of(query.room) is not None):
        return await lists_over_nodes.list_sessions(call, tenant.shared, after)
    if query.sid is not None:
        found, last = await _with_sid(tenant, query, after)
    else:
        found, last = _sessions(tenant, query.user, query.room, after, query.limit)
    clock_zero_s = tenant.unix_now() - tenant.now()
    items: list[answers.SessionItem] = []
    size_bytes = work = 0
    for session, number in found:
        size_bytes += _size_bytes(session)
        if items and size_bytes > MAX_PAGE_BYTES:
            break
        last_shown = number
        items.append(shown_session(session, clock_zero_s, tenant.node_name))
        work += 10 + len(session.rooms)
        if work >= _SLICE:
            work = 0
            await asyncio.sleep(0)
    if len(items) < len(found):
        last = last_shown
    return answers.SessionPage.model_construct(items=items, next_cursor=show_cursor(last))


async def get_user(call: Call) -> answers.UserAnswer | Problem:
    tenant, user = call.tenant, call.path["user"]
    if tenant.shared is not None:
        return await lists_over_nodes.get_user(call, tenant.shared, user)
    clock_zero_s = tenant.unix_now() - tenant.now()
    items: list[answers.SessionItem] = []
    rooms: dict[str, None] = {}
    work = 0
    for session in tenant.registry.of_user(user):
        items.append(shown_session(session, clock_zero_s, None))
        rooms |= session.rooms
        work += 10 + len(session.rooms)
        if work >= _SLICE:
            work = 0
            await asyncio.sleep(0)
    return answers.UserAnswer.model_construct(user=user, sessions=items, rooms=list(rooms))


async def list_rooms(call: Call) -> answers.RoomPage | Problem:
    after = read_cursor(call.query.cursor)
    if call.tenant.shared is not None:
        return await lists_over_nodes.list_rooms(call, call.tenant.shared, after)
    registry = call.tenant.registry
    names, last = registry.rooms_in_order.page(after, call.query.limit)
    items = [
        answers.RoomItem.model_construct(
            room=name, users=len(registry.rooms[name].users), sessions=len(registry.rooms[name].sessions)
        )
        for name in names
    ]
    return answers.RoomPage.model_construct(items=items, next_cursor=show_cursor(last))


async def get_room(call: Call) -> answers.RoomAnswer | Problem:
    after = read_cursor(call.query.cursor)
    room, tenant = call.path["room"], call.tenant
    if tenant.shared is not None and tenant.broker_of(room) is not None:
        return await lists_over_nodes.get_room(call, tenant.shared, room, after)
    counts = await lists_over_nodes.count_on_nodes(call, room) if tenant.shared is not None else None
    if isinstance(counts, Problem):
        return counts
    entry = call.tenant.registry.rooms.get(room)
    if entry is None:
        users, sessions = counts or (0, 0)
        return answers.RoomAnswer(room=room, users=users, sessions=sessions, items=[], next_cursor=None)
    found, last = entry.sessions.page(after, call.query.limit)
    users, sessions = counts or (len(entry.users), len(entry.sessions))
    return answers.RoomAnswer.model_construct(
        room=room,
        users=users,
        sessions=sessions,
        items=[answers.MemberItem.model_construct(user=one.user, sid=one.sid, node=tenant.node_name) for one in found],
        next_cursor=show_cursor(last),
    )


def _sessions(
    tenant: TenantContext, user: str | None, room: str | None, after: int, limit: int
) -> tuple[list[tuple[Session, int]], int | None]:
    """Each with the number that a page behind it begins with."""
    registry = tenant.registry
    if user is None:
        entry = registry.rooms.get(room) if room is not None else None
        if room is not None and entry is None:
            return [], None
        numbered = entry.sessions if entry is not None else registry.in_order
        page, last = numbered.page(after, limit)
        return [(one, numbered.number_of(one)) for one in page], last
    number_of = registry.in_order.number_of
    found: list[tuple[Session, int]] = []
    for one in registry.by_sid(user).values():
        number = number_of(one)
        if number > after and (room is None or room in one.rooms):
            if len(found) == limit:
                return found, found[-1][1]
            found.append((one, number))
    return found, None


async def _with_sid(
    tenant: TenantContext, query: SessionsQuery, after: int
) -> tuple[list[tuple[Session, int]], int | None]:
    """The same of those with a sid: all of the others are looked at, some in each turn of the loop."""
    found: list[tuple[Session, int]] = []
    last: int | None = after
    while last is not None:
        some, last = _sessions(tenant, query.user, query.room, last, _LOOKED_AT)
        for session, number in some:
            if session.sid != query.sid:
                continue
            if len(found) == query.limit:
                return found, found[-1][1]
            found.append((session, number))
        await asyncio.sleep(0)
    return found, None


def _size_bytes(session: Session) -> int:
    rooms = sum(len(room.encode("utf-8", "replace")) + 3 for room in session.rooms)
    metadata = session.principal.metadata
    info_bytes = 0 if session.info is None else len(bytes(session.info))
    return SESSION_BYTES + rooms + info_bytes + (len(msgspec.json.encode(metadata)) if metadata else 0)


def _shown_tenant(call: Call, tenant: TenantContext) -> answers.TenantAnswer:
    limits, rates = tenant.rules.limits, call.rates.of(tenant)
    return answers.TenantAnswer(
        tenant=tenant.id,
        limits=answers.LimitsAnswer(
            max_frame_bytes=limits.max_frame_bytes,
            max_sessions_total=limits.max_sessions_total,
            max_rooms_total=limits.max_rooms_total,
            max_users_per_room=limits.max_users_per_room,
            max_rooms_per_user=limits.max_rooms_per_user,
        ),
        sessions=tenant.sessions,
        rooms=tenant.rooms,
        rates=answers.RatesAnswer(
            messages_in_per_s=rates.messages_in,
            messages_out_per_s=rates.messages_out,
            bytes_in_per_s=rates.bytes_in,
            bytes_out_per_s=rates.bytes_out,
        ),
    )
