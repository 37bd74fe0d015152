"""Feeds a service in Python messages from standard input, and prints what it answers: one line of JSON for each."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any

import msgspec

from wsprism.cli import exits
from wsprism.effects import (
    Disconnect,
    Effect,
    JoinRoom,
    LeaveRoom,
    Publish,
    PublishHot,
    Refuse,
    Reply,
    Send,
    SendHot,
)
from wsprism.errors import InternalError
from wsprism.plugin.trial import Refused, Trial
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import MAX_SEQ, is_name, is_room_name
from wsprism.services.python import LoadFault, Source, load

__all__ = ["read_options", "run_python", "shown"]


class _Session(msgspec.Struct):
    user: str = "ann"
    sid: str = "1"
    generation: int = 1


class _Message(msgspec.Struct):
    """What a message may have; the rest is filled in."""

    type: str
    tenant: str = "test"
    session: _Session = msgspec.field(default_factory=_Session)
    room: str | None = None
    seq: int | None = None
    data: msgspec.Raw = msgspec.Raw()
    now_ms: int | None = None


def run_python(file: str, options: str) -> int:
    """Exit code 1: the file has no service."""
    told = read_options(options)
    try:
        loaded = load(Source(file, None, None, told))
    except LoadFault as fault:
        print(fault, file=sys.stderr)
        return exits.FAILED
    trials: dict[str, Trial] = {}
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        message = _read(line)
        if isinstance(message, str):
            answer: dict[str, Any] = {"fault": message}
        else:
            trial = trials.get(message.tenant)
            if trial is None:
                trial = trials[message.tenant] = Trial(loaded.service, message.tenant, told, 0)
            answer = _answer(trial, message)
        print(json.dumps(answer, ensure_ascii=True), flush=True)
    return exits.OK


def read_options(text: str) -> dict[str, Any]:
    """Raises UsageError when it is no JSON object."""
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise exits.UsageError("--options must be a JSON object") from error
    if not isinstance(options, dict):
        raise exits.UsageError("--options must be a JSON object")
    return options


def _read(line: bytes) -> _Message | str:
    try:
        message = msgspec.json.decode(line, type=_Message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return f"the line is no message: {error}"
    if not is_name(message.type) or (message.room is not None and not is_room_name(message.room)):
        return "the line is no message: type or room cannot be one"
    if message.seq is not None and not 0 <= message.seq <= MAX_SEQ:
        return f"the line is no message: seq must be from 0 to {MAX_SEQ}"
    return message


def _answer(trial: Trial, message: _Message) -> dict[str, Any]:
    trial.moment_ms = round(time.time() * 1000) if message.now_ms is None else message.now_ms
    session = message.session
    data = message.data if bytes(message.data) else None
    try:
        effects = trial.message(message.type, data, session.user, session.sid, message.room, message.seq)
    except Refused as refused:
        if refused.code == ErrorCode.INTERNAL and refused.__cause__ is not None:
            return {"fault": refused.msg}
        return {"effects": [{"refuse": {"code": refused.code, "msg": refused.msg}}]}
    return {"effects": [shown(effect) for effect in effects]}


def shown(effect: Effect) -> dict[str, Any]:
    """An effect in its JSON form (docs/effects.md)."""
    match effect:
        case Reply(data, kind):
            return {"reply": msgspec.to_builtins(data)} | _given(type=kind)
        case Publish(room, svc, kind, data):
            return {"publish": _given(room=room, svc=svc, type=kind, data=msgspec.to_builtins(data))}
        case PublishHot(room, frame):
            return {"publish": _given(room=room, hot=base64.b64encode(frame).decode())}
        case Send(user, sid, svc, kind, data):
            return {"send": _given(user=user, sid=sid, svc=svc, type=kind, data=msgspec.to_builtins(data))}
        case SendHot(user, sid, frame):
            return {"send": _given(user=user, sid=sid, hot=base64.b64encode(frame).decode())}
        case JoinRoom(room):
            return {"join": {"room": room}}
        case LeaveRoom(room):
            return {"leave": {"room": room}}
        case Refuse(code, msg):
            return {"refuse": {"code": code.value, "msg": msg}}
        case Disconnect(code, reason):
            return {"disconnect": {"code": code, "reason": reason}}
        case _:
            raise InternalError(f"{type(effect).__name__} is no effect of a service's")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
