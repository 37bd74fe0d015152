"""``chat``: text to every member of a room, in the room's one order."""

from __future__ import annotations

from typing import Any, Final

from wsprism.effects import Publish, Refuse
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.services.data import ChatSaid, ChatSend

__all__ = ["ChatService"]

_FAULT: Final = DataFault
_PUBLISH: Final = Publish
_SAID: Final = ChatSaid
_SEND: Final = ChatSend
"""Looked up once, where it is compiled."""


class ChatService:
    """Answers ``send``; members get ``msg`` with the sender's user id."""

    types = frozenset({"send"})

    def __init__(self, name: str) -> None:
        self._name = name

    def handle(self, context: ServiceContext, envelope: Envelope) -> Publish | Refuse:
        data: Any = context.decode_data(envelope, _SEND)
        if type(data) is _FAULT:
            return Refuse(ErrorCode.BAD_REQUEST, data.msg)
        return _PUBLISH(envelope.room, self._name, "msg", _SAID(context.user, data.msg))
