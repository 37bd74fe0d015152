"""``relay``: any data of any type to the members of a room, in the room's one order, with its sender's user id."""

from __future__ import annotations

from typing import Any

from wsprism.effects import Publish, Refuse
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault, Envelope
from wsprism.protocol.faults import NOT_PORTABLE
from wsprism.protocol.nesting import is_portable
from wsprism.services.data import RelayData

__all__ = ["RelayExtService"]


class RelayExtService:
    """Takes every type, and publishes under it."""

    types = None

    def __init__(self, name: str) -> None:
        self._name = name

    def handle(self, context: ServiceContext, envelope: Envelope) -> Publish | Refuse:
        said: Any = context.decode_data(envelope, RelayData)
        if type(said) is DataFault:
            return Refuse(ErrorCode.BAD_REQUEST, said.msg)
        if not is_portable(said.data):
            return Refuse(ErrorCode.BAD_REQUEST, NOT_PORTABLE)
        told = {"from": context.user, "data": said.data}
        return Publish(envelope.room, self._name, envelope.type, told, echo=not said.exclude_self)
