"""How many are in a room on all nodes: for a member that asks the room asks the registry, then answers in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wsprism.ports import RoomCounts, Unavailable
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.room.outbox import ROOM_AWAY

if TYPE_CHECKING:
    from wsprism.realtime.messages import MembersQuery
    from wsprism.realtime.room.cluster import ClusterRoom

__all__ = ["asks_registry"]


def asks_registry(room: ClusterRoom, query: MembersQuery) -> bool:
    """Whether ``query`` is not to be answered before the registry has; it comes to the room again then."""
    registry = room.tenant.shared
    if registry is None or query.counts is not None:
        return False
    ref, session = room.context.ref, query.session

    def counted(counts: Sequence[RoomCounts] | Unavailable) -> None:
        if not isinstance(counts, Unavailable):
            ref.tell_control(replace(query, counts=counts[0]))
        elif not session.ended:
            session.outlet.send(sysmsg.error(ErrorCode.UNAVAILABLE, ROOM_AWAY, session.trace_id, query.seq))

    registry.counts((room.name,), counted)
    return True
