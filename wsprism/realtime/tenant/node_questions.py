"""What one node asks all nodes to do for a backend, and what they answer: opaque bytes to the registry.

Made and read here only. What another version has asked and this one cannot read is nothing that it could do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.frames import payload_of
from wsprism.realtime.messages import Exclusion, ExtPublication, HotPublication
from wsprism.realtime.room.publications import hot_publication
from wsprism.realtime.tenant.backend_messages import (
    CountForBackend,
    DisconnectForBackend,
    JoinForBackend,
    PublishToRooms,
    RemoveForBackend,
    SendForBackend,
    Who,
)
from wsprism.realtime.tenant.histories import PublishedAt

if TYPE_CHECKING:
    from wsprism.realtime.messages import Publications
    from wsprism.realtime.rules import TenantRules

__all__ = ["Question", "add_up", "answer_to", "question_from", "question_of"]

Question = CountForBackend | SendForBackend | JoinForBackend | RemoveForBackend | DisconnectForBackend | PublishToRooms
"""What is asked of all nodes: to do it for their own sessions and, of rooms, for those that live there alone."""


class _Said(msgspec.Struct, array_like=True, gc=False):
    """A publication: ``hot`` is a whole frame, or it is an ext message."""

    hot: bytes | None
    svc: str = ""
    type: str = ""
    data: bytes = b""
    id: str | None = None
    not_user: str | None = None
    not_sid: str | None = None


class _Send(msgspec.Struct, array_like=True, tag="send"):
    user: str | None
    sid: str | None
    said: list[_Said]


class _Join(msgspec.Struct, array_like=True, tag="join"):
    room: str
    user: str | None
    sid: str | None
    active: bool


class _Remove(msgspec.Struct, array_like=True, tag="remove"):
    room: str
    user: str | None
    sid: str | None


class _Disconnect(msgspec.Struct, array_like=True, tag="disconnect"):
    room: str
    code: int
    reason: str


class _Count(msgspec.Struct, array_like=True, tag="count"):
    room: str


class _Publish(msgspec.Struct, array_like=True, tag="publish"):
    rooms: dict[str, list[_Said]]


class _Answer(msgspec.Struct, array_like=True):
    count: int
    rooms: Mapping[str, int] = {}
    denied: tuple[str, str, int | None] | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_read: Final = msgspec.msgpack.Decoder(_Count | _Send | _Join | _Remove | _Disconnect | _Publish).decode
_read_answer: Final = msgspec.msgpack.Decoder(_Answer).decode


def question_of(message: Question) -> bytes:
    """As it is asked."""
    match message:
        case CountForBackend():
            return _encode(_Count(message.room))
        case SendForBackend():
            return _encode(_Send(message.user, message.sid, _said(message.publications)))
        case JoinForBackend():
            return _encode(_Join(message.room, message.who.user, message.who.sid, message.active))
        case RemoveForBackend():
            return _encode(_Remove(message.room, message.who.user, message.who.sid))
        case DisconnectForBackend():
            return _encode(_Disconnect(message.room or "", message.code, message.reason))
        case PublishToRooms():
            return _encode(_Publish({room: _said(some) for room, some in message.rooms.items()}))
        case _:
            assert_never(message)


def question_from(body: bytes, rules: TenantRules) -> Question | None:
    """As a node carries it out."""
    try:
        asked = _read(body)
    except msgspec.MsgspecError:
        return None
    match asked:
        case _Count():
            return CountForBackend(asked.room, [])
        case _Send():
            return SendForBackend(asked.user, _publications(asked.said, rules, None), asked.sid)
        case _Join():
            return JoinForBackend(asked.room, Who(asked.user, asked.sid), asked.active)
        case _Remove():
            return RemoveForBackend(asked.room, Who(asked.user, asked.sid))
        case _Disconnect():
            return DisconnectForBackend(None, asked.room, asked.code, asked.reason)
        case _Publish():
            return PublishToRooms({room: _publications(some, rules, room) for room, some in asked.rooms.items()}, {})
        case _:
            assert_never(asked)


def answer_to(message: Question, value: object) -> bytes:
    """What became of it on this node."""
    if isinstance(value, Denied):
        return _encode(_Answer(0, {}, (value.reason, value.code, value.retry_after_s)))
    count = value if isinstance(value, int) else value.members if isinstance(value, PublishedAt) else 0
    rooms: Mapping[str, int] = {}
    if isinstance(message, PublishToRooms):
        rooms = message.members
    elif isinstance(message, CountForBackend):
        rooms = {message.room: sum(message.users)}
    return _encode(_Answer(count, rooms))


def add_up(answers: Iterable[bytes]) -> tuple[int, Mapping[str, int]] | Denied:
    """What became of it on all nodes; a refusal only where nothing was done anywhere."""
    count, rooms = 0, dict[str, int]()
    denied: Denied | None = None
    for body in answers:
        try:
            answer = _read_answer(body)
            if answer.denied is not None:
                reason, code, retry_after_s = answer.denied
                denied = Denied(Reason(reason), ErrorCode(code), retry_after_s)
        except (msgspec.MsgspecError, ValueError):
            continue
        count += answer.count
        for room, members in answer.rooms.items():
            rooms[room] = rooms.get(room, 0) + members
    return denied if denied is not None and not count else (count, rooms)


def _said(publications: Publications) -> list[_Said]:
    said = []
    for one in publications:
        exclude = one.exclude or Exclusion(None, None)
        if isinstance(one, HotPublication):
            said.append(_Said(payload_of(one.frame), not_user=exclude.user, not_sid=exclude.sid))
        else:
            said.append(_Said(None, one.svc, one.type, one.data, one.id, exclude.user, exclude.sid))
    return said


def _publications(said: Sequence[_Said], rules: TenantRules, room: str | None) -> Publications:
    publications: list[ExtPublication | HotPublication] = []
    for one in said:
        exclude = None if one.not_user is None and one.not_sid is None else Exclusion(one.not_user, one.not_sid)
        if one.hot is None:
            publications.append(ExtPublication(one.svc, one.type, one.data, id=one.id, exclude=exclude))
        elif (hot := hot_publication(one.hot, rules, room)) is not None:
            hot.exclude = exclude
            publications.append(hot)
    return tuple(publications)
