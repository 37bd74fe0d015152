"""What a typed line of ``wsprism connect`` means. Pure: a line in, an action out; knows no socket and no terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from wsprism.protocol.hot import ACK_REQUESTED, Framing, encode_hot

__all__ = ["HELP", "Action", "Help", "Mistake", "Quit", "SendBytes", "SendExt", "SendText", "Wait", "parse_line"]

HELP = """\
/join [ROOM]  /leave [ROOM]  /members [ROOM]     rooms; the one joined last is the active room
/say TEXT, or just TEXT                          chat.send to the active room
/hot ID OPCODE [HEX] [seq=N] [room=N] [ack]      a hot frame, header and payload
/ping [JSON]  /refresh TICKET                    sys.ping, sys.refresh
/send SVC TYPE [JSON]                            any ext message, to the active room
{"v":1, ...}                                     an ext message as it stands
/text TEXT  /bytes HEX                           a text or binary frame of anything
/wait MS  /help  /quit (or Ctrl-D)"""


@dataclass(frozen=True, slots=True)
class SendExt:
    """An ext message, in whichever codec the connection speaks."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendText:
    """A text frame as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class SendBytes:
    """A binary frame as it stands."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Look at no further line for ``wait_ms``."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Help:
    """Show what can be typed."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Close the connection."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """The line means nothing; ``why`` says what would."""

    why: str


Action: TypeAlias = SendExt | SendText | SendBytes | Wait | Help | Quit | Mistake


def parse_line(line: str, seq: int, framing: Framing = Framing.COMPACT) -> Action | None:
    """The action that ``line`` asks for; None for an empty line or a ``#`` comment. ``seq`` numbers an ext message."""
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    if text.startswith("{"):
        return _raw(text)
    if not text.startswith("/"):
        return _ext(seq, "chat", "send", {"msg": text})
    word, _, rest = text[1:].partition(" ")
    rest = rest.strip()
    try:
        return _command(word, rest, seq, framing)
    except ValueError as error:
        return Mistake(f"/{word}: {error}")


def _command(word: str, rest: str, seq: int, framing: Framing) -> Action:
    match word:
        case "join" | "leave" | "members":
            return SendExt(_message(seq, "room", word) | ({"room": rest} if rest else {}))
        case "say":
            return _ext(seq, "chat", "send", {"msg": rest})
        case "ping":
            return _ext(seq, "sys", "ping", _json(rest))
        case "refresh":
            return _ext(seq, "sys", "refresh", {"ticket": rest})
        case "send":
            svc, type_, data = (*rest.split(maxsplit=2), "", "")[:3]
            return _ext(seq, svc, type_, _json(data)) if type_ else Mistake("/send SVC TYPE [JSON]")
        case "hot":
            return _hot(rest.split(), framing)
        case "text":
            return SendText(rest)
        case "bytes":
            return SendBytes(bytes.fromhex(rest))
        case "wait":
            return Wait(int(rest)) if rest.isdecimal() else Mistake("/wait MS, milliseconds")
        case "help":
            return Help()
        case "quit" | "exit":
            return Quit()
        case _:
            return Mistake(f"no such command: /{word} (/help lists them)")


def _message(seq: int, svc: str, type_: str) -> dict[str, Any]:
    return {"v": 1, "svc": svc, "type": type_, "seq": seq}


def _ext(seq: int, svc: str, type_: str, data: Any) -> SendExt:
    return SendExt(_message(seq, svc, type_) | ({} if data is None else {"data": data}))


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from exc


def _raw(text: str) -> Action:
    try:
        return SendExt(json.loads(text))
    except json.JSONDecodeError as error:
        return Mistake(f"not JSON: {error} (/text sends it all the same)")


def _hot(words: list[str], framing: Framing) -> Action:
    usage = Mistake("/hot ID OPCODE [HEX] [seq=N] [room=N] [ack], numbers from 0 to 255")
    numbers, options = words[:2], words[2:]
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return usage
    flags, seq, room, payload = 0, None, None, ""
    for option in options:
        if option == "ack":
            flags |= ACK_REQUESTED
        elif option.startswith("seq="):
            seq = int(option.removeprefix("seq="))
        elif option.startswith("room="):
            room = int(option.removeprefix("room="))
        else:
            payload += option
    service_id, opcode = map(int, numbers)
    frame = encode_hot(service_id, opcode, bytes.fromhex(payload), flags=flags, seq=seq, room=room, framing=framing)
    return SendBytes(frame)
