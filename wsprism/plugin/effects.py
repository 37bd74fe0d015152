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


def reply(data: Any, type: str | None = None) -> Reply:
    """Answer the sender alone, with the message's ``seq``; ``type`` None: the message's own."""
    return Reply(data, None if type is None else _name("type", type))


def publish(type: str, data: Any = None, room: str | None = None, svc: str | None = None) -> Publish:
    """To every member of ``room`` (None: the message's, else the sender's active one), in the room's one order.

    ``svc`` None: as this service.
    """
    return Publish(_optional_room(room), _service(svc), _name("type", type), data)


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
    known = _CODES.get(code)
    if known is None:
        raise ValueError(f"code must be one of {', '.join(_CODES)}, found {code!r}")
    if not isinstance(msg, str) or len(msg) > MAX_MSG_CHARACTERS:
        raise ValueError(f"msg must be a string of at most {MAX_MSG_CHARACTERS} characters")
    return Refuse(known, _unicode(msg))


def disconnect(code: int = 4500, reason: str = "") -> Disconnect:
    """Close the sender's connection, after everything else of the list; ``code`` is 4000-4999."""
    if type(code) is not int or code not in DISCONNECT_CODES:
        raise ValueError(f"code must be from 4000 to 4999, found {code!r}")
    if not isinstance(reason, str) or len(_unicode(reason).encode()) > MAX_REASON_BYTES:
        raise ValueError(f"reason must be a string of at most {MAX_REASON_BYTES} bytes")
    return Disconnect(code, reason)


def _name(what: str, text: str) -> str:
    if not isinstance(text, str) or not is_name(text):
        raise ValueError(f"{what} must be 1-{MAX_NAME_LENGTH} characters of A-Z a-z 0-9 _ . -, found {text!r:.80}")
    return text


def _service(svc: str | None) -> str | None:
    if svc is None:
        return None
    if svc in GATEWAYS_OWN:
        raise ValueError(f"svc {svc} is the gateway's own")
    return _name("svc", svc)


def _room(room: str) -> str:
    if not isinstance(room, str) or not is_room_name(room):
        raise ValueError(f"room must be 1-128 characters without control characters, found {room!r:.80}")
    return _unicode(room)


def _optional_room(room: str | None) -> str | None:
    return None if room is None else _room(room)


def _user(user: str) -> str:
    if not isinstance(user, str) or not 0 < len(_unicode(user).encode()) <= MAX_USER_BYTES:
        raise ValueError(f"user must be a user id of 1-{MAX_USER_BYTES} bytes, found {user!r:.80}")
    return user


def _sid(sid: str | None) -> str | None:
    if sid is not None and not isinstance(sid, str):
        raise ValueError(f"sid must be a string, found {sid!r:.80}")
    return None if sid is None else _unicode(sid)


def _unicode(text: str) -> str:
    """Raises ValueError (it is a UnicodeEncodeError) when there is half a character in it, which nobody can be told."""
    if not text.isascii():
        text.encode()
    return text


def _bytes(frame: bytes) -> bytes:
    if not isinstance(frame, bytes):
        raise ValueError(f"frame must be bytes, found {type(frame).__name__}")
    return frame
