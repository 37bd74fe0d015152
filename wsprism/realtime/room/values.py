"""The values of a room's services as messages: one change for every member, all of them for who joins or asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from qos import Frame, Lane
from wsprism.protocol import sysmsg
from wsprism.protocol.envelope import JSON
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.room.publications import own_publication

if TYPE_CHECKING:
    from wsprism.policy.values import RoomValues
    from wsprism.realtime.session import Session

__all__ = ["changed_value", "values_frame", "values_message", "values_publication", "wanted_value"]


def changed_value(svc: str, version: int, key: str, data: bytes | None, user: str) -> ExtPublication:
    """The change with this version, as its room's members are told it. ``data`` is JSON; None: ``key`` was deleted.

    The gateway's own publication: it has happened, also if its sender is put out of the room before it is told.
    """
    return ExtPublication(svc, "changed", JSON.encode({"version": version} | _told(key, data, user)))


def wanted_value(svc: str, key: str, data: bytes | None, user: str) -> ExtPublication:
    """The same for a change that has no version yet: its data begins with the key."""
    return ExtPublication(svc, "changed", JSON.encode(_told(key, data, user)))


def _told(key: str, data: bytes | None, user: str) -> dict[str, Any]:
    changed = {"deleted": True} if data is None else {"value": msgspec.Raw(data)}
    return {"key": key, **changed, "from": user}


def values_message(
    svc: str, room: str, listing: dict[str, object], *, binary: bool, seq: int | None = None
) -> dict[str, Any]:
    """What is kept, for one session, in the encoding that it wants."""
    message: dict[str, Any] = {"v": sysmsg.VERSION, "svc": svc, "type": "state"}
    if seq is not None:
        message["seq"] = seq
    message["room"] = room
    message["data"] = msgspec.json.decode(msgspec.json.encode(listing)) if binary else listing
    return message


def values_publication(svc: str, room: str, values: RoomValues) -> ExtPublication:
    """All of it for every member: the whole from there on, whatever they knew."""
    message = values_message(svc, room, values.listing(), binary=False)
    return own_publication("state", message)


def values_frame(svc: str, room: str, values: RoomValues, session: Session) -> Frame:
    """All of it for who joins: made once a change and form, however many come.

    Changes that it hears behind may be in it already.
    """
    wire = session.outlet.format
    told = values.told.get(wire)
    if told is None:
        message = values_message(svc, room, values.listing(), binary=wire.codec.binary)
        told = values.told[wire] = wire.encode(message)
    return Frame(told, Lane.RELIABLE, None)
