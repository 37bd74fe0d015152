"""What a backend is asked and told, and what it may answer: the JSON of docs/backend.md, the same over HTTP and stream.

Pure. Bodies are made of what the gateway knows; answers are read strictly, because an unknown field may be a misspelt
restriction. A plain no stays a no, whatever else stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from wsprism.protocol.envelope import MAX_ROOM_LENGTH, is_room_name
from wsprism.protocol.nesting import is_portable, json_nests_too_deep
from wsprism.protocol.portable import TOO_LARGE, can_be_told

__all__ = [
    "MAX_ANSWER_BYTES",
    "ConnectAnswer",
    "JoinAnswer",
    "SessionFacts",
    "decode_connect",
    "decode_join",
    "event_body",
    "events_body",
    "question_body",
    "read_json",
    "rfc3339",
]

MAX_ANSWER_BYTES: Final = 256 * 1024
MAX_MSG_CHARACTERS: Final = 200
MAX_JOINED_AT_ONCE: Final = 1000

_encode = msgspec.json.Encoder().encode


class SessionFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who: of two sessions of one user and sid the one with the greater ``generation`` is the newer."""

    user: str
    sid: str
    generation: int
    metadata: Mapping[str, Any] | None = None


class ConnectAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To ``connect``. ``data`` is told to the client, ``info`` is public, ``metadata`` private. Empty: absent."""

    allow: bool
    rooms: list[str] | None = None
    data: msgspec.Raw = msgspec.Raw()
    info: msgspec.Raw = msgspec.Raw()
    metadata: dict[str, Any] | None = None
    msg: str | None = None


class JoinAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To ``join``. ``read_only``: the session may not publish in this room."""

    allow: bool
    data: msgspec.Raw = msgspec.Raw()
    info: msgspec.Raw = msgspec.Raw()
    read_only: bool | None = None
    msg: str | None = None


A = TypeVar("A", "ConnectAnswer", "JoinAnswer")


def rfc3339(unix_s: float) -> str:
    """A Unix time in UTC, to the millisecond."""
    second, microseconds = divmod(round(unix_s * 1e6), 1_000_000)
    return f"{_to_the_second(second)}.{microseconds // 1000:03}Z"


@lru_cache(16)
def _to_the_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def question_body(kind: str, question_id: str, time: str, tenant: str, fields: Mapping[str, Any]) -> bytes:
    """A question of ``kind``; a field that is None is left out."""
    return _encode_known({"kind": kind, "id": question_id, "time": time, "tenant": tenant}, fields)


def event_body(seq: int, event_type: str, time: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> bytes:
    """One event of a batch; a field that is None is left out."""
    body: dict[str, Any] = {"seq": seq, "type": event_type, "time": time}
    if session is not None:
        body["session"] = session
    return _encode_known(body, fields)


def _encode_known(body: dict[str, Any], fields: Mapping[str, Any]) -> bytes:
    for name, value in fields.items():
        if value is not None:
            body[name] = value
    return _encode(body)


def events_body(
    batch_id: str, time: str, tenant: str, node: str, first_seq: int, missed: int, events: Sequence[bytes]
) -> bytes:
    """A batch of events that were encoded when they happened."""
    head = _encode(
        {
            "kind": "events",
            "id": batch_id,
            "time": time,
            "tenant": tenant,
            "node": node,
            "first_seq": first_seq,
            "missed": missed,
        }
    )
    return b"".join((head[:-1], b',"events":[', b",".join(events), b"]}"))


def read_json(body: bytes) -> str | None:
    """What keeps ``body`` from being JSON that may be decoded; None: it may."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "the answer is not UTF-8"
    return "the answer nests too deep" if json_nests_too_deep(text) else None


def decode_connect(body: bytes) -> ConnectAnswer | str:
    """The answer to ``connect``, or what is wrong with it."""
    answer = _decision(body, ConnectAnswer)
    if isinstance(answer, ConnectAnswer) and answer.allow and answer.rooms is not None:
        if len(answer.rooms) > MAX_JOINED_AT_ONCE:
            return f"rooms in the answer are more than {MAX_JOINED_AT_ONCE}"
        if not all(is_room_name(room) for room in answer.rooms):
            return f"rooms in the answer has a name that no room can have (1-{MAX_ROOM_LENGTH} characters)"
    if isinstance(answer, ConnectAnswer) and not is_portable(answer.metadata):
        return f"metadata in the answer has {TOO_LARGE}"
    return answer


def decode_join(body: bytes) -> JoinAnswer | str:
    """The answer to ``join``, or what is wrong with it."""
    return _decision(body, JoinAnswer)


class _No(msgspec.Struct):
    allow: Any = None
    msg: Any = None


def _decision(body: bytes, kind: type[A]) -> A | str:
    unreadable = read_json(body)
    if unreadable is not None:
        return unreadable
    try:
        no = msgspec.json.decode(body, type=_No)
        if no.allow is False:
            return kind(allow=False, msg=no.msg[:MAX_MSG_CHARACTERS] if isinstance(no.msg, str) else None)
        answer = msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        return "the answer is not what it must be"
    for name, told in (("data", answer.data), ("info", answer.info)):
        if not can_be_told(told):
            return f"{name} in the answer has {TOO_LARGE}"
    return answer
