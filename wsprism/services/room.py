"""``room``: joining, leaving, who is there, and what was said."""

from __future__ import annotations

from typing import Any, Final

from wsprism.effects import JoinRoom, LeaveRoom, ListHistory, ListMembers, Refuse
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.protocol.places import HistoryData, JoinData

__all__ = ["DEFAULT_ROOM", "RoomService"]

DEFAULT_ROOM: Final = "default"

_NULL: Final = (b"null", b"\xc0")
"""Nothing, in either codec."""


class RoomService:
    """Answers ``join``, ``leave``, ``members`` and ``history``."""

    types = frozenset({"join", "leave", "members", "history"})

    def handle(
        self, context: ServiceContext, envelope: Envelope
    ) -> JoinRoom | LeaveRoom | ListHistory | ListMembers | Refuse:
        kind = envelope.type
        if kind == "leave":
            return LeaveRoom(envelope.room)
        if kind == "members":
            return ListMembers(envelope.room)
        data: Any = None
        if envelope.data is not None and bytes(envelope.data) not in _NULL:
            data = context.decode_data(envelope, JoinData if kind == "join" else HistoryData)
            if type(data) is DataFault:
                return Refuse(ErrorCode.BAD_REQUEST, data.msg)
        if kind == "join":
            return JoinRoom(envelope.room or DEFAULT_ROOM, data)
        return ListHistory(envelope.room, data or HistoryData())
