"""How ``wsprism connect`` shows what it received: a record for machines, and a line for people made of that record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from wsprism.cli.console import visible
from wsprism.protocol.codes import CloseCode, may_reconnect
from wsprism.protocol.hot import Framing, HotFault, decode_delivery

__all__ = ["closed_record", "describe", "received_record", "refused_record", "sent_record"]

Record = dict[str, Any]

_MEANINGS: Final[Mapping[int, str]] = {
    CloseCode.NORMAL: "closed normally",
    CloseCode.GOING_AWAY: "the gateway is draining",
    CloseCode.PROTOCOL_ERROR: "a violation of the WebSocket protocol",
    CloseCode.INVALID_DATA: "text that is not UTF-8",
    CloseCode.TOO_BIG: "a message larger than the tenant's max_frame_bytes",
    CloseCode.INTERNAL_ERROR: "the gateway failed",
    CloseCode.SERVICE_RESTART: "this node has lost the others: another one takes over",
    CloseCode.SLOW_CONSUMER: "slow consumer: this client did not read fast enough",
    CloseCode.IDLE: "idle: neither a pong nor a message in time",
    CloseCode.RATE_LIMITED: "the rate limit kept being exceeded",
    CloseCode.KICKED: "kicked",
    CloseCode.TOO_MANY_SESSIONS: "the user has too many sessions",
    CloseCode.TICKET_EXPIRED: "the ticket expired: come back with a new one",
    CloseCode.TRY_LATER: "not now: try again later",
    CloseCode.TICKET: "the ticket was refused or revoked",
    CloseCode.PROTOCOL_ERRORS: "too many faulty messages in a row",
    CloseCode.TENANT_REMOVED: "the tenant was removed",
    CloseCode.NOT_ALLOWED_HERE: "not allowed here: the origin, the tenant, or its backend says no",
}
_LOST: Final = 1006
"""What RFC 6455, section 7.1.5, calls a connection that ended without a Close."""


def received_record(frame: str | bytes, framing: Framing, *, msgpack: bool) -> Record:
    """A text or binary frame: ``lane`` ext with its ``message``, or hot with the header's fields and hex."""
    try:
        if isinstance(frame, str):
            return {"lane": "ext", "message": json.loads(frame)}
        if msgpack and frame and (frame[0] & 0xF0 == 0x80 or frame[0] in (0xDE, 0xDF)):
            return {"lane": "ext", "message": msgspec.msgpack.decode(frame)}
    except (ValueError, msgspec.DecodeError) as error:
        shown = frame if isinstance(frame, str) else frame.hex()
        return {"lane": "ext", "fault": str(error), "frame": shown}
    hot = decode_delivery(frame, framing)
    if isinstance(hot, HotFault):
        return {"lane": "hot", "fault": hot.reason, "frame": frame.hex()}
    record = {
        "lane": "hot",
        "service": hot.service_id,
        "opcode": hot.opcode,
        "flags": hot.flags,
        "seq": hot.seq,
        "sender": hot.sender,
        "payload": bytes(hot.payload).hex(),
    }
    return record if hot.room is None else record | {"room": hot.room}


def sent_record(sent: Any) -> Record:
    """What a typed line sent: an ext message, a text or a binary frame."""
    return {"sent": sent.hex() if isinstance(sent, bytes) else sent}


def closed_record(code: int | None, reason: str) -> Record:
    """The end of the connection, with what its code means and whether to come back."""
    known = code if code is not None else _LOST
    meaning = "the connection was lost without a close" if known == _LOST else _MEANINGS.get(known, "unknown code")
    return {"closed": known, "meaning": meaning, "reason": reason, "reconnect": may_reconnect(known)}


def refused_record(status: int, body: bytes, retry_after: str | None) -> Record:
    """A handshake that was refused, with the gateway's ``code`` and ``msg``."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    record: Record = {"refused": status}
    if isinstance(told, dict):
        record |= {key: told[key] for key in ("code", "msg") if key in told}
    return record if retry_after is None else record | {"retry_after_s": retry_after}


def describe(record: Record) -> tuple[str, str]:
    """A line and its style. Nothing that a peer sent can move the cursor or colour the terminal."""
    match record:
        case {"fault": fault, "frame": frame}:
            return f"← not understood ({fault}): {visible(frame)}", "red"
        case {"lane": "ext", "message": {"svc": svc, "type": type_, **rest}}:
            return f"← {visible(_ext(svc, type_, rest))}", "red" if (svc, type_) == ("sys", "error") else "green"
        case {"lane": "ext", "message": message}:
            return f"← {visible(_compact(message))}", "green"
        case {"lane": "hot"}:
            return f"← {_hot(record)}", "cyan"
        case {"closed": code}:
            again = (
                "; reconnect with back-off" if record["reconnect"] else "; do not reconnect before something changed"
            )
            reason = f" ({visible(record['reason'])})" if record["reason"] else ""
            return f"closed {code}: {record['meaning']}{reason}{again if code != CloseCode.NORMAL else ''}", "yellow"
        case {"refused": status}:
            after = f"; again after {record['retry_after_s']} s" if "retry_after_s" in record else ""
            told = " ".join(str(record[key]) for key in ("code", "msg") if key in record)
            return f"refused {status}: {visible(told)}{after}", "red"
        case {"sent": {"svc": svc, "type": type_, **rest}}:
            return f"→ {visible(_ext(svc, type_, rest))}", "dim"
        case {"sent": sent}:
            return f"→ {visible(sent if isinstance(sent, str) else _compact(sent))}", "dim"
        case _:
            return visible(_compact(record)), ""


def _ext(svc: object, type_: object, rest: Mapping[Any, Any]) -> str:
    parts = [f"{svc}.{type_}"]
    parts += [f"{key}={rest[key]}" for key in ("room", "seq") if key in rest]
    if "data" in rest:
        parts.append(_compact(rest["data"]))
    return " ".join(parts)


def _hot(record: Record) -> str:
    payload = bytes.fromhex(record["payload"])
    parts = [f"hot {record['service']}:{record['opcode']}", f"flags=0x{record['flags']:02x}"]
    parts += [f"{key}={visible(str(record[key]))}" for key in ("seq", "room", "sender") if record.get(key) is not None]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in payload)
    return " ".join([*parts, f"{len(payload)} bytes:", payload.hex(" "), f"|{text}|"])


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
