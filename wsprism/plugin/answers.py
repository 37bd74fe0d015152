"""Whether what a handler returned can be carried out: all of it, or a fault in words for the operator.

An author may build effects past the public face, keep them and change them later, or return classes of its own that
look like lists. So each effect is looked at as if it were new, and made again of plain values: what is carried out,
nobody else holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import Any, Final

import msgspec

from wsprism.effects import (
    MAX_EFFECTS,
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
from wsprism.plugin.effects import disconnect, join, leave, publish_hot, published, refuse, reply, send, send_hot
from wsprism.ports import HotVerdict
from wsprism.protocol.hot import Framing, HotFault, decode_hot
from wsprism.protocol.portable import TOO_LARGE, can_be_told
from wsprism.protocol.publication_data import NotPortable, data_of

__all__ = ["FROM_MESSAGES", "UNASKED", "BadAnswer", "checked", "checked_frame", "listed"]

UNASKED: Final = frozenset({Publish, PublishHot, Send, SendHot})
"""What ticks, joins and leaves may bring about: there is nobody who has sent a message."""
FROM_MESSAGES: Final = UNASKED | {Reply, JoinRoom, LeaveRoom, Refuse, Disconnect}

_NAMES: Final[dict[type, str]] = {
    Publish: "publish",
    PublishHot: "publish_hot",
    Reply: "reply",
    Send: "send",
    SendHot: "send_hot",
    JoinRoom: "join",
    LeaveRoom: "leave",
    Refuse: "refuse",
    Disconnect: "disconnect",
}
_AGAIN: Final[dict[type, Callable[[Any], Effect]]] = {
    PublishHot: lambda effect: publish_hot(effect.frame, effect.room),
    SendHot: lambda effect: send_hot(effect.user, effect.frame, effect.sid),
    JoinRoom: lambda effect: join(effect.room),
    LeaveRoom: lambda effect: leave(effect.room),
    Refuse: lambda effect: refuse(effect.code, effect.msg),
    Disconnect: lambda effect: disconnect(effect.code, effect.reason),
}
"""Those without data, made again by the public face."""
_BOUNDED: Final = slice(0, MAX_EFFECTS)
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_well_formed = msgspec.json.Decoder(msgspec.Raw).decode


class BadAnswer(Exception):
    """What is wrong with it, in words."""


def checked(returned: object, allowed: frozenset[type], framing: Framing, max_bytes: int) -> list[Effect]:
    """The effects that a handler returned, their data as ``Raw`` JSON. Raises BadAnswer, and whatever classes of the
    author's own raise when they are looked at."""
    effects: list[Effect] = []
    try:
        for effect in returned[:] if type(returned) is list and len(returned) == 1 else listed(returned):
            kind: type = type(effect)
            if kind is Publish:
                data = msgspec.Raw(_encoded(effect.data, max_bytes))
                effects.append(published(effect, data))
            elif kind in allowed:
                effects.append(_again(kind, effect, framing, max_bytes))
            elif kind in FROM_MESSAGES:
                raise ValueError(f"{_NAMES[kind]} belongs to a message, and this is none")
            else:
                raise BadAnswer(f"effects[{len(effects)}] must be an effect, found {_named(effect)}")
    except ValueError as error:
        raise BadAnswer(f"effects[{len(effects)}]: {error}") from error
    if len(effects) > 1 and any(type(one) is Refuse for one in effects):
        raise BadAnswer("refuse stands alone in its list")
    return effects


def checked_frame(returned: object, framing: Framing, max_bytes: int) -> bytes | HotVerdict:
    """What a handler of hot frames returned. Raises as ``checked`` does."""
    if returned is HotVerdict.PASS or returned is HotVerdict.DROP:
        return returned
    if not isinstance(returned, bytes):
        raise BadAnswer(f"a handler of hot frames returns PASS, DROP or bytes, found {_named(returned)}")
    frame = publish_hot(returned).frame
    fault = _frame_fault(frame, framing, max_bytes)
    if fault is not None:
        raise BadAnswer(fault)
    return frame


def listed(returned: object) -> Sequence[Any]:
    """What is in it: in a list or tuple that no class of the author's has a say in, and that nobody else changes.

    Raises BadAnswer when it is neither, nor None, or too long.
    """
    if returned is None:
        return ()
    kind: type = type(returned)
    number: int
    items: Sequence[Any]
    if kind is list or issubclass(kind, list):
        number, items = list.__len__(returned), list.__getitem__(returned, _BOUNDED)  # type: ignore[call-overload,arg-type]
    elif issubclass(kind, tuple):
        number, items = tuple.__len__(returned), tuple.__getitem__(returned, _BOUNDED)  # type: ignore[call-overload,arg-type]
    elif kind is CoroutineType:
        returned.close()  # type: ignore[attr-defined]
        raise BadAnswer("it returned a coroutine: a handler that waits must itself be an `async def`")
    else:
        raise BadAnswer(f"a handler returns a list of effects or None, found {_named(returned)}")
    if number > MAX_EFFECTS:
        raise BadAnswer(f"there are {number} effects; {MAX_EFFECTS} are allowed")
    return items


def _again(kind: type, effect: Any, framing: Framing, max_bytes: int) -> Effect:
    """Raises ValueError."""
    if kind is Reply:
        return reply(msgspec.Raw(_encoded(effect.data, max_bytes)), effect.type)
    if kind is Send:
        data = msgspec.Raw(_encoded(effect.data, max_bytes))
        return send(effect.user, effect.type, data, effect.sid, effect.svc)
    made = _AGAIN[kind](effect)
    if isinstance(made, PublishHot | SendHot):
        fault = _frame_fault(made.frame, framing, max_bytes)
        if fault is not None:
            raise ValueError(fault)
    return made


def _encoded(data: object, max_bytes: int) -> bytes:
    """``data`` as JSON; ValueError when not every client can be told it."""
    try:
        encoded = data_of(data)
        if not _is_plain(data):
            _look_into(encoded)
    except NotPortable as error:
        raise ValueError(f"its data cannot be told to every client: {error}") from error
    if len(encoded) > max_bytes:
        raise ValueError(f"it has {len(encoded)} bytes of data; {max_bytes} are allowed")
    return encoded


def _is_plain(data: object) -> bool:
    """Whether it is seen at once that nothing in it is ``Raw``."""
    if type(data) is not dict:
        return type(data) in _SCALARS
    for value in data.values():  # noqa: SIM110 (a generator costs more than what it looks at)
        if type(value) not in _SCALARS:
            return False
    return True


def _look_into(encoded: bytes) -> None:
    """``Raw`` stands in what holds it as it is, whatever that is."""
    try:
        raw = _well_formed(encoded)
        if not encoded.isascii():
            encoded.decode()
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotPortable(f"there is a msgspec.Raw in it that is no JSON: {error}") from error
    if not can_be_told(raw):
        raise NotPortable(f"has {TOO_LARGE}")


def _frame_fault(frame: bytes, framing: Framing, max_bytes: int) -> str | None:
    if len(frame) > max_bytes:
        return f"the frame has {len(frame)} bytes; {max_bytes} are allowed"
    read = decode_hot(frame, framing)
    return f"the frame is none: {read.reason}" if isinstance(read, HotFault) else None


def _named(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)
