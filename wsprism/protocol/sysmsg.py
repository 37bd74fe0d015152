"""Builders of the messages that the gateway itself sends: `sys.*`, `room.members`, and publications.

Owns field names and their order on the wire: v, svc, type, seq, room, data, trace_id. Builds plain dicts for a codec to
encode; knows neither codecs nor connections. A reply to a message that had a `seq` repeats it.
"""

from collections.abc import Mapping

import msgspec

from wsprism.protocol.codes import ErrorCode

__all__ = [
    "VERSION",
    "ack",
    "authed",
    "degraded",
    "draining",
    "error",
    "joined",
    "kicked",
    "left",
    "pong",
    "publication",
    "refreshed",
    "room_history",
    "room_members",
    "room_presence",
    "room_presence_diff",
]

VERSION = 1
"""The version of the protocol that every message carries."""

Message = dict[str, object]


def authed(tenant: str, user: str, sid: str, expires_at: float | None, trace_id: str, data: object = None) -> Message:
    """The first message to an accepted client: who it is here, until when (seconds since 1970; None: without end).

    `data` is what the backend has to say to it.
    """
    told: dict[str, object] = {"tenant": tenant, "user": user, "sid": sid, "expires_at": expires_at}
    if data is not None:
        told["data"] = data
    return _sys("authed", trace_id, data=told)


def error(
    code: ErrorCode, msg: str, trace_id: str, seq: int | None = None, retry_after_ms: int | None = None
) -> Message:
    """A refused or faulty message. `msg` is for people and holds no internal detail."""
    data: dict[str, object] = {"code": code.value, "msg": msg}
    if retry_after_ms is not None:
        data["retry_after_ms"] = retry_after_ms
    return _sys("error", trace_id, seq=seq, data=data)


def kicked(reason: str, trace_id: str) -> Message:
    """Sent before a close 4500: why this session ends."""
    return _sys("kicked", trace_id, data={"reason": reason})


def joined(room: str, trace_id: str, seq: int | None = None, data: Mapping[str, object] | None = None) -> Message:
    """The session is a member of `room`, which is now its active room. `data`: where it stands there."""
    return _sys("joined", trace_id, seq=seq, room=room, data=data)


def left(room: str, trace_id: str, seq: int | None = None) -> Message:
    """The session is no longer a member of `room`."""
    return _sys("left", trace_id, seq=seq, room=room)


def ack(seq: int | None, trace_id: str, offset: int | None = None) -> Message:
    """The message with `seq` (if it had one) was accepted for delivery, as `offset` where its room gives one."""
    return _sys("ack", trace_id, seq=seq, data=None if offset is None else {"offset": offset})


def pong(data: msgspec.Raw | None, trace_id: str, seq: int | None = None) -> Message:
    """The answer to `sys.ping`: the same data, still raw, for the codec that it came in by."""
    return _sys("pong", trace_id, seq=seq, data=data)


def refreshed(expires_at: float | None, trace_id: str, seq: int | None = None) -> Message:
    """The connection now lives until `expires_at`, seconds since 1970 (None: without end)."""
    return _sys("refreshed", trace_id, seq=seq, data={"expires_at": expires_at})


def degraded(degraded: bool, trace_id: str) -> Message:
    """Whether what spans nodes is out of reach for a while."""
    return _sys("degraded", trace_id, data={"degraded": degraded})


def draining(reconnect_after_ms: int, trace_id: str) -> Message:
    """Sent before a close 1001: when to come back."""
    return _sys("draining", trace_id, data={"reconnect_after_ms": reconnect_after_ms})


def room_members(room: str, users: int, sessions: int, seq: int | None = None) -> Message:
    """The answer to `room.members`: how many different users and how many sessions are in `room`."""
    message: Message = {"v": VERSION, "svc": "room", "type": "members"}
    if seq is not None:
        message["seq"] = seq
    message["room"] = room
    message["data"] = {"users": users, "sessions": sessions}
    return message


def room_history(room: str, data: object, seq: int | None = None) -> Message:
    """The answer to `room.history`: where `room` stands, and a page of what it keeps."""
    message: Message = {"v": VERSION, "svc": "room", "type": "history"}
    if seq is not None:
        message["seq"] = seq
    message["room"] = room
    message["data"] = data
    return message


def room_presence(room: str, data: object, seq: int | None = None) -> Message:
    """The answer to `room.presence`: who is in `room`."""
    message: Message = {"v": VERSION, "svc": "room", "type": "presence"}
    if seq is not None:
        message["seq"] = seq
    message["room"] = room
    message["data"] = data
    return message


def room_presence_diff(room: str, data: object) -> Message:
    """Who has come, gone or changed in `room` since the state or the diff before."""
    return {"v": VERSION, "svc": "room", "type": "presence_diff", "room": room, "data": data}


def publication(svc: str, type: str, room: str | None, data: object) -> Message:
    """Room data, the same for every member; without a room, what the backend sends to sessions."""
    if room is None:
        return {"v": VERSION, "svc": svc, "type": type, "data": data}
    return {"v": VERSION, "svc": svc, "type": type, "room": room, "data": data}


def _sys(
    type: str,
    trace_id: str,
    *,
    seq: int | None = None,
    room: str | None = None,
    data: Mapping[str, object] | msgspec.Raw | None = None,
) -> Message:
    message: Message = {"v": VERSION, "svc": "sys", "type": type}
    if seq is not None:
        message["seq"] = seq
    if room is not None:
        message["room"] = room
    if data is not None:
        message["data"] = data
    message["trace_id"] = trace_id
    return message
