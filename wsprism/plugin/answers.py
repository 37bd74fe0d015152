"""Whether what a handler returned can be carried out: all of it, or a fault in words for the operator."""

from __future__ import annotations

from typing import Final

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
from wsprism.ports import HotVerdict
from wsprism.protocol.hot import Framing, HotFault, decode_hot
from wsprism.protocol.publication_data import NotPortable, data_of

__all__ = ["FROM_MESSAGES", "UNASKED", "BadAnswer", "checked", "checked_frame"]

UNASKED: Final = frozenset({Publish, PublishHot, Send, SendHot})
"""What ticks, joins and leaves may bring about: there is nobody who has sent a message."""
FROM_MESSAGES: Final = UNASKED | {Reply, JoinRoom, LeaveRoom, Refuse, Disconnect}

_WITH_DATA: Final = frozenset({Publish, Reply, Send})
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


class BadAnswer(Exception):
    """What is wrong with it, in words."""


def checked(returned: object, allowed: frozenset[type], framing: Framing, max_bytes: int) -> list[Effect]:
    """The effects that a handler returned, their data as ``Raw`` JSON. Raises BadAnswer."""
    if returned is None:
        return []
    if not isinstance(returned, list | tuple):
        raise BadAnswer(f"a handler returns a list of effects or None, found {_named(returned)}")
    if len(returned) > MAX_EFFECTS:
        raise BadAnswer(f"there are {len(returned)} effects; {MAX_EFFECTS} are allowed")
    effects: list[Effect] = []
    for number, effect in enumerate(returned):
        kind = type(effect)
        if kind not in allowed:
            if kind in FROM_MESSAGES:
                raise BadAnswer(f"effects[{number}]: {_NAMES[kind]} belongs to a message, and this is none")
            raise BadAnswer(f"effects[{number}] must be an effect, found {_named(effect)}")
        if kind in _WITH_DATA:
            effect = msgspec.structs.replace(effect, data=_encoded(number, effect.data, max_bytes))
        elif kind is PublishHot or kind is SendHot:
            fault = _frame_fault(effect.frame, framing, max_bytes)
            if fault is not None:
                raise BadAnswer(f"effects[{number}]: {fault}")
        elif kind is Refuse and len(returned) > 1:
            raise BadAnswer("refuse stands alone in its list")
        effects.append(effect)
    return effects


def checked_frame(returned: object, framing: Framing, max_bytes: int) -> bytes | HotVerdict:
    """What a handler of hot frames returned. Raises BadAnswer."""
    if isinstance(returned, HotVerdict) and returned in (HotVerdict.PASS, HotVerdict.DROP):
        return returned
    if not isinstance(returned, bytes):
        raise BadAnswer(f"a handler of hot frames returns PASS, DROP or bytes, found {_named(returned)}")
    fault = _frame_fault(returned, framing, max_bytes)
    if fault is not None:
        raise BadAnswer(fault)
    return returned


def _encoded(number: int, data: object, max_bytes: int) -> msgspec.Raw:
    try:
        encoded = data_of(data)
    except NotPortable as error:
        raise BadAnswer(f"effects[{number}]: its data cannot be told to every client: {error}") from error
    if len(encoded) > max_bytes:
        raise BadAnswer(f"effects[{number}] has {len(encoded)} bytes of data; {max_bytes} are allowed")
    return msgspec.Raw(encoded)


def _frame_fault(frame: bytes, framing: Framing, max_bytes: int) -> str | None:
    if len(frame) > max_bytes:
        return f"the frame has {len(frame)} bytes; {max_bytes} are allowed"
    read = decode_hot(frame, framing)
    return f"the frame is none: {read.reason}" if isinstance(read, HotFault) else None


def _named(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)
