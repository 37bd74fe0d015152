"""Handlers of a room's history: a page of it, and its end."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.room.history_page import EPOCH_CHANGED, NO_HISTORY
from wsprism.realtime.tenant.histories import HistoryForBackend, HistoryRefusal, PurgeForBackend
from wsprism.transport.api.answers import HistoryAnswer, PlaceAnswer
from wsprism.transport.api.calls import Call, ask_tenant
from wsprism.transport.api.problems import Problem

__all__ = ["purge_history", "read_history"]

_NO_HISTORY: Final = Problem(409, NO_HISTORY, ErrorCode.NOT_ALLOWED)
_EPOCH_CHANGED: Final = Problem(409, EPOCH_CHANGED, ErrorCode.NOT_ALLOWED)


async def read_history(call: Call) -> HistoryAnswer | Problem:
    query = call.query
    asked = HistoryForBackend(
        call.path["room"], query.since_epoch, query.since_offset, query.limit, reverse=query.reverse
    )
    page: Any = await ask_tenant(call.tenant, asked, call.timeout_s)
    if isinstance(page, HistoryRefusal):
        return _refused(page)
    if isinstance(page, Problem):
        return page
    items = [{**one, "data": msgspec.json.decode(one["data"])} for one in page["items"]]
    return HistoryAnswer(**{**page, "epoch": page["epoch"] or None, "items": items})


async def purge_history(call: Call) -> PlaceAnswer | Problem:
    place: Any = await ask_tenant(call.tenant, PurgeForBackend(call.path["room"]), call.timeout_s)
    if isinstance(place, HistoryRefusal):
        return _refused(place)
    return place if isinstance(place, Problem) else PlaceAnswer(epoch=place.epoch or None, offset=place.offset)


def _refused(refusal: HistoryRefusal) -> Problem:
    return _EPOCH_CHANGED if refusal.epoch_changed else _NO_HISTORY
