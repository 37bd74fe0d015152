"""A session as the lists show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from qos import Lane
from wsprism.ports import ListedSession
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.about import about_from
from wsprism.transport.api import answers

__all__ = ["MAX_PAGE_BYTES", "SESSION_BYTES", "shown_listed", "shown_session"]

MAX_PAGE_BYTES: Final = 1024 * 1024
"""About so large a page of sessions becomes, whatever ``limit`` says; one session is always shown."""

SESSION_BYTES: Final = 400
"""What stands around a session's rooms and metadata."""


def shown_session(session: Session, clock_zero_s: float, node: str | None) -> answers.SessionItem:
    """One of this node. ``clock_zero_s``: the Unix time at which the monotonic clock stood at zero."""
    control, reliable, hot = [session.outlet.queue.queued(lane) for lane in (Lane.CONTROL, Lane.RELIABLE, Lane.HOT)]
    return answers.SessionItem.model_construct(
        sid=session.sid,
        user=session.user,
        since=datetime.fromtimestamp(clock_zero_s + session.opened_at, UTC),
        address=session.remote_address,
        rooms=list(session.rooms),
        active_room=session.active_room,
        queue=answers.QueueAnswer.model_construct(
            control=_shown_backlog(control), reliable=_shown_backlog(reliable), hot=_shown_backlog(hot)
        ),
        generation=session.generation,
        metadata=dict(session.principal.metadata),
        info=None if session.info is None else msgspec.json.decode(session.info),
        node=node,
    )


def shown_listed(listed: ListedSession) -> answers.SessionItem:
    """One of another node, or of none any more: what the registry says of it."""
    key, said = listed.key, about_from(listed.about)
    return answers.SessionItem.model_construct(
        sid=key.sid,
        user=key.user,
        since=datetime.fromtimestamp(listed.opened_s, UTC),
        address=said.address,
        rooms=sorted(listed.rooms),
        active_room=None,
        queue=None,
        generation=key.generation,
        metadata=said.metadata,
        info=said.info,
        node=said.node,
    )


def _shown_backlog(queued: tuple[int, int]) -> answers.ClassBacklog:
    return answers.ClassBacklog.model_construct(messages=queued[0], bytes=queued[1])
