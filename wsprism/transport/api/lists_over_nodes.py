"""The lists where other nodes share the tenant: what the registry of all nodes says, page by page.

Of sessions on the node that is asked all is shown; of others what their nodes have said of them. They stand by
generation, which is the order of their opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wsprism.ports import Listed, ListedRoom, ListedSession, Registry, RoomCounts, SessionFilter
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.tenant.backend_messages import CountForBackend
from wsprism.transport.api import answers
from wsprism.transport.api.asked import asked
from wsprism.transport.api.calls import Call, ask_tenant
from wsprism.transport.api.paging import show_cursor
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.shown import MAX_PAGE_BYTES, SESSION_BYTES, shown_listed, shown_session

__all__ = ["count_on_nodes", "get_room", "get_user", "list_rooms", "list_sessions"]

_AT_ONCE: Final = 100


async def list_sessions(call: Call, registry: Registry, after: int) -> answers.SessionPage | Problem:
    query, items, size_bytes = call.query, list[answers.SessionItem](), 0
    last = after
    behind: int | None = after
    while behind is not None and len(items) < query.limit:
        which = SessionFilter(query.user, query.sid, query.room)
        page = await _sessions(registry, which, behind, query.limit - len(items))
        if isinstance(page, Problem):
            return page
        behind = page.behind
        for listed in page.items:
            size_bytes += SESSION_BYTES + len(listed.about) + sum(len(room.encode()) + 3 for room in listed.rooms)
            if items and size_bytes > MAX_PAGE_BYTES:
                return answers.SessionPage.model_construct(items=items, next_cursor=show_cursor(last))
            items.append(_shown(call.tenant, listed))
            last = listed.key.generation
    return answers.SessionPage.model_construct(items=items, next_cursor=show_cursor(behind))


async def get_user(call: Call, registry: Registry, user: str) -> answers.UserAnswer | Problem:
    items: list[answers.SessionItem] = []
    rooms: dict[str, None] = {}
    behind: int | None = 0
    while behind is not None:
        page = await _sessions(registry, SessionFilter(user), behind, _AT_ONCE)
        if isinstance(page, Problem):
            return page
        for listed in page.items:
            shown = _shown(call.tenant, listed)
            items.append(shown)
            rooms |= dict.fromkeys(shown.rooms)
        behind = page.behind
    return answers.UserAnswer.model_construct(user=user, sessions=items, rooms=list(rooms))


async def list_rooms(call: Call, registry: Registry, after: int) -> answers.RoomPage | Problem:
    """Those of all nodes, then those that live on this node alone: an odd cursor is among the latter."""
    limit, items = call.query.limit, list[answers.RoomItem]()
    number, is_here = divmod(after, 2)
    if not is_here:
        page: Listed[ListedRoom] | Problem = await asked(lambda done: registry.list_rooms(number, limit, done))
        if isinstance(page, Problem):
            return page
        items += [
            answers.RoomItem.model_construct(room=one.room, users=one.counts.users, sessions=one.counts.sessions)
            for one in page.items
        ]
        if page.behind is not None:
            return answers.RoomPage.model_construct(items=items, next_cursor=show_cursor(2 * page.behind))
        number = 0
    last = _add_rooms_of_this_node(call.tenant, items, number, limit)
    return answers.RoomPage.model_construct(
        items=items, next_cursor=None if last is None else show_cursor(2 * last + 1)
    )


async def get_room(call: Call, registry: Registry, room: str, after: int) -> answers.RoomAnswer | Problem:
    found: Sequence[RoomCounts] | Problem = await asked(lambda done: registry.counts((room,), done))
    if isinstance(found, Problem):
        return found
    items: list[answers.MemberItem] = []
    behind: int | None = after
    while behind is not None and len(items) < call.query.limit:
        which, limit = SessionFilter(room=room), call.query.limit - len(items)
        page = await _sessions(registry, which, behind, limit, with_rooms=False)
        if isinstance(page, Problem):
            return page
        for one in page.items:
            node = _shown(call.tenant, one).node
            items.append(answers.MemberItem.model_construct(user=one.key.user, sid=one.key.sid, node=node))
        behind = page.behind
    users, sessions = found[0]
    return answers.RoomAnswer.model_construct(
        room=room, users=users, sessions=sessions, items=items, next_cursor=show_cursor(behind)
    )


async def count_on_nodes(call: Call, room: str) -> tuple[int, int] | Problem:
    """Users and sessions of a room that each node has for itself, added up."""
    users: list[int] = []
    sessions = await ask_tenant(call.tenant, CountForBackend(room, users))
    return sessions if isinstance(sessions, Problem) else (sum(users), sessions)


async def _sessions(
    registry: Registry, which: SessionFilter, behind: int, limit: int, *, with_rooms: bool = True
) -> Listed[ListedSession] | Problem:
    return await asked(
        lambda done: registry.list_sessions(which, behind, min(limit, _AT_ONCE), done, with_rooms=with_rooms)
    )


def _shown(tenant: TenantContext, listed: ListedSession) -> answers.SessionItem:
    session = tenant.registry.by_sid(listed.key.user).get(listed.key.sid)
    if session is None or session.key != listed.key:
        return shown_listed(listed)
    return shown_session(session, tenant.unix_now() - tenant.now(), tenant.node_name)


def _add_rooms_of_this_node(tenant: TenantContext, items: list[answers.RoomItem], after: int, limit: int) -> int | None:
    """Fill ``items`` up; the number of the last one if there are more."""
    registry, behind = tenant.registry, after
    while True:
        names, last = registry.rooms_in_order.page(behind, limit)
        for name in names:
            if tenant.broker_of(name) is not None:
                continue
            if len(items) >= limit:
                return behind
            entry, behind = registry.rooms[name], registry.rooms_in_order.number_of(name)
            items.append(
                answers.RoomItem.model_construct(
                    room=name, users=len(entry.users), sessions=len(entry.sessions), node=tenant.node_name
                )
            )
        if last is None:
            return None
        behind = max(behind, last)
