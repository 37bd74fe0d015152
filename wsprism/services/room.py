"""``room``: joining, leaving, who is there, and what was said."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.effects import JoinRoom, LeaveRoom, ListHistory, ListMembers, ListPresence, Refuse, SetState
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.protocol.faults import NOT_PORTABLE
from wsprism.protocol.nesting import is_portable
from wsprism.protocol.places import HistoryData, JoinData, StateData

__all__ = ["DEFAULT_ROOM", "RoomService"]

DEFAULT_ROOM: Final = "default"

_DATA: Final = {"join": JoinData, "history": HistoryData, "state": StateData}

_NULL: Final = (b"null", b"\xc0")
"""Nothing, in either codec."""


class RoomService:
    """Answers ``join``, ``leave``, ``members``, ``history``, ``presence`` and ``state``."""

    types = frozenset({"join", "leave", "members", "history", "presence", "state"})

    def handle(
        self, context: ServiceContext, envelope: Envelope
    ) -> JoinRoom | LeaveRoom | ListHistory | ListMembers | ListPresence | SetState | Refuse:
        kind = envelope.type
        if kind == "leave":
            return LeaveRoom(envelope.room)
        if kind == "members":
            return ListMembers(envelope.room)
        if kind == "presence":
            return ListPresence(envelope.room)
        data: Any = None
        if kind == "state" or (envelope.data is not None and bytes(envelope.data) not in _NULL):
            data = context.decode_data(envelope, _DATA[kind])
            if type(data) is DataFault:
                return Refuse(ErrorCode.BAD_REQUEST, data.msg)
        state = getattr(data, "state", msgspec.UNSET)
        if state is not msgspec.UNSET and not is_portable(state):
            return Refuse(ErrorCode.BAD_REQUEST, NOT_PORTABLE)
        if kind == "state":
            return SetState(envelope.room, state)
        if kind == "join":
            return JoinRoom(envelope.room or DEFAULT_ROOM, data)
        return ListHistory(envelope.room, data or HistoryData())
