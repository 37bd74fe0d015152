"""The effects that a handler returns, made by functions that refuse what cannot be one: the traceback names the line.

What they give are the values of ``wsprism.effects``. Data is looked at when the handler has returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from wsprism.effects import (
    DISCONNECT_CODES,
    GATEWAYS_OWN,
    MAX_MSG_CHARACTERS,
    MAX_REASON_BYTES,
    MAX_USER_BYTES,
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
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import MAX_NAME_LENGTH, is_name, is_room_name

__all__ = [
    "DROP",
    "PASS",
    "Effects",
    "disconnect",
    "join",
    "leave",
    "publish",
    "publish_hot",
    "refuse",
    "reply",
    "send",
    "send_hot",
]

Effects: TypeAlias = Sequence[Effect] | None
"""What a handler returns, a list or None: a yes with nothing to do."""

PASS: Final = HotVerdict.PASS
"""The frame goes on as it is."""
DROP: Final = HotVerdict.DROP
"""Nobody gets the frame."""

_CODES: Final = {code.value: code for code in ErrorCode}

_MOST_KNOWN: Final = 1024
_known_names: Final[set[str]] = set()
"""Names that are good, as many as a service has: they are looked at with every message."""
_ALL: Final = slice(None)


def reply(data: Any, type: str | None = None) -> Reply:
    """Answer the sender alone, with the message's ``seq``; ``type`` None: the message's own."""
    return Reply(data, None if type is None else _name("type", type))


def publish(type: str, data: Any = None, room: str | None = None, svc: str | None = None) -> Publish:
    """To every member of ``room`` (None: the message's, else the sender's active one), in the room's one order.

    ``svc`` None: as this service.
    """
    return Publish(
        None if room is None else _room(room), None if svc is None else _service(svc), _name("type", type), data
    )


def published(effect: Publish, data: Any) -> Publish:
    """The same with other data, whoever has made it: looked at as if it were new."""
    type_, room, svc = effect.type, effect.room, effect.svc
    if room is None and svc is None and type(type_) is str and type_ in _known_names:
        return Publish(None, None, type_, data)
    return publish(type_, data, room, svc)


def publish_hot(frame: bytes, room: str | None = None) -> PublishHot:
    """The same on the hot lane: a whole frame, header included, in the tenant's framing."""
    return PublishHot(_optional_room(room), _bytes(frame))


def send(user: str, type: str, data: Any = None, sid: str | None = None, svc: str | None = None) -> Send:
    """To all sessions of a user, or to the one with this ``sid``."""
    return Send(_user(user), _sid(sid), _service(svc), _name("type", type), data)


def send_hot(user: str, frame: bytes, sid: str | None = None) -> SendHot:
    """The same on the hot lane."""
    return SendHot(_user(user), _sid(sid), _bytes(frame))


def join(room: str) -> JoinRoom:
    """The sender joins ``room``, as if it had asked; the tenant's limits hold, its ticket's patterns do not."""
    return JoinRoom(_room(room))


def leave(room: str) -> LeaveRoom:
    """The sender leaves ``room``."""
    return LeaveRoom(_room(room))


def refuse(code: str, msg: str) -> Refuse:
    """``sys.error`` to the sender, with a code of docs/protocol.md and at most 200 characters; alone in its list."""
    known = _CODES.get(code) if isinstance(code, str) else None
    if known is None:
        raise ValueError(f"code must be one of {', '.join(_CODES)}, found {code!r}")
    if not isinstance(msg, str) or len(_exact(msg)) > MAX_MSG_CHARACTERS:
        raise ValueError(f"msg must be a string of at most {MAX_MSG_CHARACTERS} characters")
    return Refuse(known, _unicode(_exact(msg)))


def disconnect(code: int = 4500, reason: str = "") -> Disconnect:
    """Close the sender's connection, after everything else of the list; ``code`` is 4000-4999."""
    if type(code) is not int or code not in DISCONNECT_CODES:
        raise ValueError(f"code must be from 4000 to 4999, found {code!r}")
    if not isinstance(reason, str) or len(_exact(reason).encode()) > MAX_REASON_BYTES:
        raise ValueError(f"reason must be a string of at most {MAX_REASON_BYTES} bytes")
    return Disconnect(code, _exact(reason))


def _name(what: str, text: str) -> str:
    if type(text) is str and text in _known_names:
        return text
    if not isinstance(text, str) or not is_name(exact := _exact(text)):
        raise ValueError(f"{what} must be 1-{MAX_NAME_LENGTH} characters of A-Z a-z 0-9 _ . -, found {text!r:.80}")
    if len(_known_names) < _MOST_KNOWN:
        _known_names.add(exact)
    return exact


def _service(svc: str | None) -> str | None:
    if svc is None:
        return None
    name = _name("svc", svc)
    if name in GATEWAYS_OWN:
        raise ValueError(f"svc {name} is the gateway's own")
    return name


def _room(room: str) -> str:
    if not isinstance(room, str) or not is_room_name(exact := _exact(room)):
        raise ValueError(f"room must be 1-128 characters without control characters, found {room!r:.80}")
    return _unicode(exact)


def _optional_room(room: str | None) -> str | None:
    return None if room is None else _room(room)


def _user(user: str) -> str:
    if not isinstance(user, str) or not 0 < len(_exact(user).encode()) <= MAX_USER_BYTES:
        raise ValueError(f"user must be a user id of 1-{MAX_USER_BYTES} bytes, found {user!r:.80}")
    return _exact(user)


def _sid(sid: str | None) -> str | None:
    if sid is not None and not isinstance(sid, str):
        raise ValueError(f"sid must be a string, found {sid!r:.80}")
    return None if sid is None else _unicode(_exact(sid))


def _exact(text: str) -> str:
    """The characters of a string: of what a class of its own makes of them, nothing is asked."""
    return str.__str__(text)


def _unicode(text: str) -> str:
    """Raises ValueError (it is a UnicodeEncodeError) when there is half a character in it, which nobody can be told."""
    if not text.isascii():
        text.encode()
    return text


def _bytes(frame: bytes) -> bytes:
    if not isinstance(frame, bytes):
        raise ValueError(f"frame must be bytes, found {type(frame).__name__}")
    return bytes.__getitem__(frame, _ALL)
