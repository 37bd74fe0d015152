"""Pages of a room's history: for a member that asks, and for the backend."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.frames import payload_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsprism.ports import HistoryItem
    from wsprism.protocol.places import Position
    from wsprism.realtime.messages import HistoryQuery
    from wsprism.realtime.room.history import RoomHistory
    from wsprism.realtime.rules import TenantContext

__all__ = ["EPOCH_CHANGED", "NO_HISTORY", "answer_of", "page_of"]

EPOCH_CHANGED: Final = "epoch changed"
NO_HISTORY: Final = "the room keeps no history"

_MOST_BYTES: Final = 256 * 1024
"""Of one page, whatever its limit; at least one item."""


class _Said(msgspec.Struct):
    """What of a kept publication stands in a page."""

    svc: str
    type: str
    data: msgspec.Raw


_read: Final = msgspec.json.Decoder(_Said).decode


def answer_of(tenant: TenantContext, room: str, history: RoomHistory | None, question: HistoryQuery) -> dict[str, Any]:
    """What the member is answered who asked ``room.history``."""
    session, query = question.session, question.query
    if history is None:
        return sysmsg.error(ErrorCode.NOT_ALLOWED, NO_HISTORY, session.trace_id, question.seq)
    position = history.open()
    if query.since is not None and query.since.epoch != position.epoch:
        return sysmsg.error(ErrorCode.NOT_ALLOWED, EPOCH_CHANGED, session.trace_id, question.seq)
    most_bytes = min(_MOST_BYTES, tenant.rules.queue_limits.reliable_max_bytes // 4)
    since = None if query.since is None else query.since.offset
    found = history.store.page(room, since, query.limit + 1, reverse=query.reverse)
    page = page_of(tenant, position, found, query.limit, most_bytes)
    if session.outlet.format.codec.binary:
        for item in page["items"]:
            item["data"] = msgspec.json.decode(item["data"])
    return sysmsg.room_history(room, page, question.seq)


def page_of(
    tenant: TenantContext,
    position: Position,
    found: Sequence[HistoryItem],
    limit: int,
    most_bytes: int = _MOST_BYTES,
) -> dict[str, Any]:
    """Where the room stands, up to ``limit`` of the ``found`` items (data raw), and whether there are more."""
    more = len(found) > limit
    unix = tenant.unix_now() - tenant.now()
    items: list[dict[str, Any]] = []
    size_bytes = 0
    for one in found[:limit]:
        size_bytes += len(one.kept.json)
        if items and size_bytes > most_bytes:
            more = True
            break
        said = _read(payload_of(one.kept.json))
        time = datetime.fromtimestamp(unix + one.at, UTC).isoformat(timespec="milliseconds")
        items.append(
            {"offset": one.offset, "time": time[:-6] + "Z", "svc": said.svc, "type": said.type, "data": said.data}
        )
    return {"epoch": position.epoch, "offset": position.offset, "items": items, "more": more}
