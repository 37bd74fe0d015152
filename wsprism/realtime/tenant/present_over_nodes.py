"""Who is present in a room over nodes, for the backend: asked of the broker, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import DEFERRED
from wsprism.policy.present import PresentSessions
from wsprism.ports import EntryPage, Unavailable
from wsprism.realtime.room.shared_presence import entry_from
from wsprism.realtime.tenant.over_nodes import AWAY

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.ports import Broker
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["list_over_nodes"]


def list_over_nodes(tenant: Tenant, broker: Broker, room: str, max_listed: int) -> Deferred:
    """Answer the ask at hand with a ``Listing``, or that it cannot be known now."""
    reply, found = tenant.context.reply_to, PresentSessions()

    def answer(value: Any) -> None:
        if reply is not None and reply.waiting:
            reply.answer(value)

    def take(page: EntryPage | Unavailable) -> None:
        if isinstance(page, Unavailable):
            answer(AWAY)
            return
        for one in page.entries:
            entry = entry_from(one.entry)
            if entry is not None:
                found.put_entry(room, one.user, entry)
        if not page.cursor:
            answer(found.list_entries(room, max_listed))
        elif reply is not None and reply.waiting:
            broker.list_entries(room, page.cursor, take)

    broker.list_entries(room, "", take)
    return DEFERRED
