"""``reply``: answers the sender alone: what time it is, and where and who it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wsprism.effects import Reply
from wsprism.ports import ServiceContext
from wsprism.protocol.envelope import Envelope

__all__ = ["ReplyService"]


class ReplyService:
    """Answers ``time`` and ``info``; data is not looked at. ``told`` are fields of every ``info``, the operator's own.

    ``unix_now`` is in seconds.
    """

    types = frozenset({"time", "info"})

    def __init__(self, told: Mapping[str, Any], unix_now: Callable[[], float]) -> None:
        self._told = dict(told)
        self._unix_now = unix_now

    def handle(self, context: ServiceContext, envelope: Envelope) -> Reply:
        now_ms = int(self._unix_now() * 1000)
        if envelope.type == "time":
            return Reply({"now_ms": now_ms})
        who = {"tenant": context.tenant, "user": context.user, "sid": context.sid, "room": context.active_room}
        return Reply({"server": "wsprism", "now_ms": now_ms, **who, **self._told})
