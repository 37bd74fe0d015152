"""What a message may bring about: the one vocabulary of services, plugins, modules and backends (docs/effects.md).

Values, carried out by the connection that got the message; a list of them is carried out in its order. ``read_effects``
makes them of JSON, all or none: names, sizes and forms are checked before anything is carried out. Structs, because one
is made per message: they cost a sixth of a frozen dataclass.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from wsprism.policy.decisions import Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import MAX_NAME_LENGTH, is_name, is_room_name
from wsprism.protocol.hot import Framing, HotFault, decode_hot
from wsprism.protocol.nesting import MAX_DEPTH, json_nests_too_deep, may_hold_large_numbers
from wsprism.protocol.places import HistoryData, JoinData
from wsprism.protocol.portable import TOO_LARGE, can_be_told

__all__ = [
    "DISCONNECT_CODES",
    "GATEWAYS_OWN",
    "MAX_EFFECTS",
    "MAX_MSG_CHARACTERS",
    "MAX_REASON_BYTES",
    "MAX_USER_BYTES",
    "Answer",
    "AskBackend",
    "Asker",
    "ChangeValue",
    "Disconnect",
    "Effect",
    "Fail",
    "JoinRoom",
    "Later",
    "LeaveRoom",
    "ListHistory",
    "ListMembers",
    "ListPresence",
    "ListValues",
    "Publish",
    "PublishHot",
    "Refuse",
    "Reply",
    "Send",
    "SendHot",
    "SetState",
    "read_effects",
]

MAX_EFFECTS: Final = 64
MAX_MSG_CHARACTERS: Final = 200
MAX_REASON_BYTES: Final = 123
MAX_USER_BYTES: Final = 255
DISCONNECT_CODES: Final = range(4000, 5000)
GATEWAYS_OWN: Final = frozenset({"sys", "room"})
_CODES: Final = {code.value: code for code in ErrorCode}
_A_NAME: Final = f"1-{MAX_NAME_LENGTH} characters of A-Z a-z 0-9 _ . -"


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Publish ``data`` (anything JSON can hold) to every member of ``room`` (None: the message's, else the active one).

    ``svc`` None: as the service that answers. ``echo`` False: not to the connection whose message this is, a word that
    only the gateway's own services have.
    """

    room: str | None
    svc: str | None
    type: str
    data: Any
    echo: bool = True


class PublishHot(msgspec.Struct, frozen=True, gc=False):
    """The same on the hot lane: a whole frame in the tenant's framing."""

    room: str | None
    frame: bytes


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Answer the sender alone, with the message's ``seq``; ``type`` None: the message's own."""

    data: Any
    type: str | None = None


class Send(msgspec.Struct, frozen=True, gc=False):
    """To all sessions of a user, or to the one with this ``sid``."""

    user: str
    sid: str | None
    svc: str | None
    type: str
    data: Any


class SendHot(msgspec.Struct, frozen=True, gc=False):
    """The same on the hot lane."""

    user: str
    sid: str | None
    frame: bytes


class JoinRoom(msgspec.Struct, frozen=True, gc=False):
    """The sender joins ``room``, which becomes its active one. ``wants``: what its client asked for with it."""

    room: str
    wants: JoinData | None = None


class LeaveRoom(msgspec.Struct, frozen=True, gc=False):
    """The sender leaves ``room`` (None: the active one)."""

    room: str | None


class ListMembers(msgspec.Struct, frozen=True, gc=False):
    """Tell the sender how many users and sessions ``room`` (None: the active room) has. The gateway's own."""

    room: str | None


class ListHistory(msgspec.Struct, frozen=True, gc=False):
    """Tell the sender what ``room`` (None: the active room) remembers. The gateway's own."""

    room: str | None
    query: HistoryData


class ListPresence(msgspec.Struct, frozen=True, gc=False):
    """Tell the sender who is in ``room`` (None: the active room). The gateway's own."""

    room: str | None


class SetState(msgspec.Struct, frozen=True, gc=False):
    """What presence shows of the sender in ``room`` (None: the active room), its own word. The gateway's own."""

    room: str | None
    state: Any


class ChangeValue(msgspec.Struct, frozen=True, gc=False):
    """Set ``key`` of the service's values in ``room`` (None: the active room) to ``data``, JSON; None: delete it.

    ``if_version``: only if the key's version is this (0: it is not set). The gateway's own.
    """

    room: str | None
    key: str
    data: bytes | None
    if_version: int | None = None


class ListValues(msgspec.Struct, frozen=True, gc=False):
    """Tell the sender the values in ``room`` (None: the active room), or that of ``key``. The gateway's own."""

    room: str | None
    key: str | None = None


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """Answer ``sys.error``; ``msg`` must hold nothing internal."""

    code: ErrorCode
    msg: str


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """Close the sender's connection, after everything else of the list."""

    code: int = 4500
    reason: str = ""


class AskBackend(msgspec.Struct, frozen=True, gc=False):
    """The tenant's backend answers this message later, with effects of its own."""


class Fail(msgspec.Struct, frozen=True, gc=False):
    """There is no answer: the sender is told ``sys.error``, and ``reason`` is counted. A service's host says it."""

    reason: Reason
    code: ErrorCode
    msg: str


class Asker(Protocol):
    """Who waits for an answer that comes later."""

    @property
    def listens(self) -> bool:
        """Whether its connection is still there; what concerns others is carried out in any case."""
        ...

    def answer(self, effects: list[Effect]) -> None:
        """Once, in any turn of the loop: carry out ``effects``, as those of an ``Answer``."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What code of the operator's has answered: trusted, as a backend is, and bound by neither its sender's ticket nor
    membership. All its data are ``Raw`` JSON that every client can be told."""

    effects: Sequence[Effect]


class Later(msgspec.Struct, frozen=True, gc=False):
    """The service answers this message later; ``begin`` is told to whom."""

    begin: Callable[[Asker], object]


Effect = (
    Publish
    | PublishHot
    | Reply
    | Send
    | SendHot
    | SetState
    | JoinRoom
    | LeaveRoom
    | ListHistory
    | ListMembers
    | ListPresence
    | Refuse
    | Disconnect
    | AskBackend
    | Fail
    | Answer
    | Later
    | ChangeValue
    | ListValues
)


_ABSENT: Final = msgspec.Raw()
"""Told from what is there by identity: the decoder leaves a default as it is."""


class _Publish(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    room: str | None = None
    svc: str | None = None
    type: str | None = None
    data: msgspec.Raw = _ABSENT
    hot: str | None = None


class _Send(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    user: str
    sid: str | None = None
    svc: str | None = None
    type: str | None = None
    data: msgspec.Raw = _ABSENT
    hot: str | None = None


class _Room(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    room: str


class _Refuse(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    code: str
    msg: str


class _Disconnect(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    code: int = 4500
    reason: str = ""


class _Effect(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    reply: msgspec.Raw = _ABSENT
    type: str | None = None
    publish: _Publish | None = None
    send: _Send | None = None
    join: _Room | None = None
    leave: _Room | None = None
    refuse: _Refuse | None = None
    disconnect: _Disconnect | None = None


class _Answer(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    effects: list[_Effect]


class _Fault(Exception):
    """Why a list of effects is not one; never leaves this module."""


_decode = msgspec.json.Decoder(_Answer).decode


def read_effects(
    body: bytes, *, framing: Framing, max_bytes: int, max_effects: int = MAX_EFFECTS
) -> list[Effect] | str:
    """The effects of ``{"effects": [...]}``, or for an operator what is wrong with it. Data stays raw JSON.

    ``max_bytes`` bounds the data of each message, ``framing`` is the tenant's.
    """
    try:
        text = body.decode()
        if len(text) > 2 * MAX_DEPTH and json_nests_too_deep(text):  # what is shorter closes fewer levels
            return "the effects nest too deep"
        answer = _decode(text)
    except UnicodeDecodeError:
        return "the effects are not UTF-8"
    except msgspec.ValidationError as error:
        return f"the effects are not what they must be: {_in_short(str(error))}"
    except (msgspec.DecodeError, RecursionError):
        return "the effects are not JSON"
    if len(answer.effects) > max_effects:
        return f"there are {len(answer.effects)} effects; {max_effects} are allowed"
    effects: list[Effect] = []
    try:
        for raw in answer.effects:
            effects.append(_one(raw, framing, max_bytes))
    except _Fault as fault:
        return f"effects[{len(effects)}]{fault}"
    if len(body) > max_bytes or may_hold_large_numbers(body):
        for number, effect in enumerate(effects):
            words = _data_fault(effect, max_bytes)
            if words is not None:
                return f"effects[{number}] has {words}"
    if len(effects) < 2:
        return effects
    if any(isinstance(one, Refuse) for one in effects):
        return "refuse stands alone in its list"
    if any(isinstance(one, Disconnect) for one in effects):  # it comes after all the others
        effects.sort(key=lambda one: isinstance(one, Disconnect))
    return effects


def _data_fault(effect: Effect, max_bytes: int) -> str | None:
    """Whoever its data goes to can be told it, in JSON or MessagePack: nothing fails in a room."""
    if not isinstance(effect, Publish | Reply | Send) or effect.data is None:
        return None
    size_bytes = len(memoryview(effect.data))
    if size_bytes > max_bytes:
        return f"{size_bytes} bytes of data; {max_bytes} are allowed"
    return None if can_be_told(effect.data) else f"data with {TOO_LARGE}"


def _one(raw: _Effect, framing: Framing, max_bytes: int) -> Effect:
    """Places in faults are told from here on: the caller knows which one of the list it is."""
    publish, send, reply = raw.publish, raw.send, raw.reply
    if raw.type is not None and reply is _ABSENT:
        raise _Fault(".type belongs to reply")
    several = (publish is not None) + (send is not None) + (reply is not _ABSENT)
    several += (raw.join is not None) + (raw.leave is not None) + (raw.refuse is not None)
    if several + (raw.disconnect is not None) != 1:
        raise _Fault(" must be exactly one of reply, publish, send, join, leave, refuse, disconnect")
    if publish is not None:
        return _publish(".publish", publish, framing, max_bytes)
    if reply is not _ABSENT:
        return Reply(reply, None if raw.type is None else _name(".type", raw.type))
    if send is not None:
        return _send(".send", send, framing, max_bytes)
    if raw.join is not None:
        return JoinRoom(_room(".join", raw.join.room))
    if raw.leave is not None:
        return LeaveRoom(_room(".leave", raw.leave.room))
    if raw.refuse is not None:
        return _refuse(".refuse", raw.refuse)
    assert raw.disconnect is not None
    return _disconnect(".disconnect", raw.disconnect)


def _publish(where: str, raw: _Publish, framing: Framing, max_bytes: int) -> Publish | PublishHot:
    room = None if raw.room is None else _room(where, raw.room)
    if raw.hot is not None:
        if raw.svc is not None or raw.type is not None or raw.data is not _ABSENT:
            raise _Fault(f"{where} has hot, which goes with room only")
        return PublishHot(room, _frame(where, raw.hot, framing, max_bytes))
    return Publish(room, *_message(where, raw))


def _send(where: str, raw: _Send, framing: Framing, max_bytes: int) -> Send | SendHot:
    if not raw.user or len(raw.user.encode("utf-8", "surrogatepass")) > MAX_USER_BYTES:
        raise _Fault(f"{where}.user must be a user id of 1-{MAX_USER_BYTES} bytes")
    if raw.hot is not None:
        if raw.svc is not None or raw.type is not None or raw.data is not _ABSENT:
            raise _Fault(f"{where} has hot, which goes with user and sid only")
        return SendHot(raw.user, raw.sid, _frame(where, raw.hot, framing, max_bytes))
    return Send(raw.user, raw.sid, *_message(where, raw))


def _message(where: str, raw: _Publish | _Send) -> tuple[str | None, str, Any]:
    """Service, type and data."""
    if raw.type is None:
        raise _Fault(f"{where}.type is missing")
    if not is_name(raw.type):
        raise _Fault(f"{where}.type must be {_A_NAME}")
    if raw.svc is not None and _name(f"{where}.svc", raw.svc) in GATEWAYS_OWN:
        raise _Fault(f"{where}.svc is {raw.svc}, which is the gateway's own")
    return raw.svc, raw.type, None if raw.data is _ABSENT else raw.data


def _frame(where: str, text: str, framing: Framing, max_bytes: int) -> bytes:
    try:
        frame = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Fault(f"{where}.hot is not base64") from None
    if len(frame) > max_bytes:
        raise _Fault(f"{where}.hot has {len(frame)} bytes; {max_bytes} are allowed")
    read = decode_hot(frame, framing)
    if isinstance(read, HotFault):
        raise _Fault(f"{where}.hot: {read.reason}")
    return frame


def _refuse(where: str, raw: _Refuse) -> Refuse:
    code = _CODES.get(raw.code)
    if code is None:
        raise _Fault(f"{where}.code must be one of {', '.join(_CODES)}")
    if len(raw.msg) > MAX_MSG_CHARACTERS:
        raise _Fault(f"{where}.msg has {len(raw.msg)} characters; {MAX_MSG_CHARACTERS} are allowed")
    return Refuse(code, raw.msg)


def _disconnect(where: str, raw: _Disconnect) -> Disconnect:
    if raw.code not in DISCONNECT_CODES:
        raise _Fault(f"{where}.code must be from 4000 to 4999, found {raw.code}")
    if len(raw.reason.encode("utf-8", "surrogatepass")) > MAX_REASON_BYTES:
        raise _Fault(f"{where}.reason has more than {MAX_REASON_BYTES} bytes")
    return Disconnect(raw.code, raw.reason)


def _name(where: str, text: str) -> str:
    if not is_name(text):
        raise _Fault(f"{where} must be {_A_NAME}")
    return text


def _room(where: str, text: str) -> str:
    if not is_room_name(text):
        raise _Fault(f"{where}.room must be 1-128 characters without control characters")
    return text


def _in_short(error: str) -> str:
    """The parser's own words name the place; they are shown to operators only."""
    return error.replace("$.effects", "effects").replace("`", "")[:200]
