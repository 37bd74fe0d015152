"""``state``: small values that the members of a room share, by key; whoever comes gets all of them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsprism.effects import ChangeValue, ListValues, Refuse
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON, DataFault, Envelope, is_room_name
from wsprism.protocol.faults import NOT_PORTABLE
from wsprism.protocol.nesting import MAX_DEPTH, is_portable, json_nests_too_deep

__all__ = ["MAX_KEY_LENGTH", "StateService"]

MAX_KEY_LENGTH: Final = 128
_LEVELS_AROUND: Final = 4
"""The envelope, its data, the entries and the entry: a value nests within them."""

_KEY: Final = f"data.key must be 1-{MAX_KEY_LENGTH} characters without control characters"
_VERSION: Final = "data.if_version must not be negative"
_NULL: Final = (b"null", b"\xc0")


class SetData(msgspec.Struct, forbid_unknown_fields=True):
    """``if_version``: only if the key was last changed with this version; 0: only if it is not set."""

    key: str
    value: Any
    if_version: int | None = None


class DeleteData(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    if_version: int | None = None


class GetData(msgspec.Struct, forbid_unknown_fields=True):
    key: str | None = None


_DATA: Final = {"set": SetData, "delete": DeleteData, "get": GetData}


class StateService:
    """Answers ``set``, ``delete`` and ``get``; members get ``changed``, who comes or asks gets ``state``."""

    types = frozenset(_DATA)

    def handle(self, context: ServiceContext, envelope: Envelope) -> ChangeValue | ListValues | Refuse:
        kind, room = envelope.type, envelope.room
        if kind == "get" and (envelope.data is None or bytes(envelope.data) in _NULL):
            return ListValues(room)
        said: Any = context.decode_data(envelope, _DATA[kind])
        if type(said) is DataFault:
            return Refuse(ErrorCode.BAD_REQUEST, said.msg)
        if said.key is not None and not is_room_name(said.key):
            return Refuse(ErrorCode.BAD_REQUEST, _KEY)
        if kind == "get":
            return ListValues(room, said.key)
        if said.if_version is not None and said.if_version < 0:
            return Refuse(ErrorCode.BAD_REQUEST, _VERSION)
        if kind == "delete":
            return ChangeValue(room, said.key, None, said.if_version)
        if not is_portable(said.value):
            return Refuse(ErrorCode.BAD_REQUEST, NOT_PORTABLE)
        data = JSON.encode(said.value)
        if json_nests_too_deep(data.decode(), MAX_DEPTH - _LEVELS_AROUND):
            return Refuse(ErrorCode.BAD_REQUEST, NOT_PORTABLE)
        return ChangeValue(room, said.key, data, said.if_version)
