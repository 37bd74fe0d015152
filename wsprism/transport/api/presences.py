"""The handler of a room's presence."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.room.presence import NO_PRESENCE
from wsprism.realtime.tenant.presences import PresenceForBackend
from wsprism.transport.api.answers import PresenceAnswer
from wsprism.transport.api.calls import Call, ask_tenant
from wsprism.transport.api.problems import Problem

__all__ = ["read_presence"]

_NO_PRESENCE: Final = Problem(409, NO_PRESENCE, ErrorCode.NOT_ALLOWED)


async def read_presence(call: Call) -> PresenceAnswer | Problem:
    listing: Any = await ask_tenant(call.tenant, PresenceForBackend(call.path["room"]), call.timeout_s)
    if isinstance(listing, Problem):
        return listing
    if listing is None:
        return _NO_PRESENCE
    return PresenceAnswer.model_validate(msgspec.json.decode(msgspec.json.encode(listing)))
