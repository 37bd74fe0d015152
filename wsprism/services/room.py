"""``room``: joining, leaving, and who is there."""

from __future__ import annotations

from typing import Final

from wsprism.effects import JoinRoom, LeaveRoom, ListMembers
from wsprism.ports import ServiceContext
from wsprism.protocol.envelope import Envelope

__all__ = ["DEFAULT_ROOM", "RoomService"]

DEFAULT_ROOM: Final = "default"


class RoomService:
    """Answers ``join``, ``leave`` and ``members``."""

    types = frozenset({"join", "leave", "members"})

    def handle(self, context: ServiceContext, envelope: Envelope) -> JoinRoom | LeaveRoom | ListMembers:  # noqa: ARG002
        if envelope.type == "join":
            return JoinRoom(envelope.room or DEFAULT_ROOM)
        if envelope.type == "leave":
            return LeaveRoom(envelope.room)
        return ListMembers(envelope.room)
