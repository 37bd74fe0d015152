"""The client's opening handshake (RFC 6455 section 4.2.1), and the tenant, ticket, sid and subprotocol it names.

Sans-IO: takes a request's method, header fields and query, gives a request or a refusal. Decides nothing about who may
come in, and leaves extensions (permessage-deflate) to the transport. Called once per upgrade, before any other work.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.trace import TraceParent, parse_traceparent

__all__ = [
    "SUBPROTOCOL_JSON",
    "SUBPROTOCOL_MSGPACK",
    "TAIL_SUBPROTOCOL",
    "HandshakeFault",
    "HandshakeRequest",
    "UpgradeRequest",
    "accept_key",
    "negotiate",
    "parse_handshake",
    "parse_upgrade",
    "shown_key",
]

SUBPROTOCOL_JSON = "wsprism.v1"
SUBPROTOCOL_MSGPACK = "wsprism.v1.msgpack"
TAIL_SUBPROTOCOL = "wsprism.tail.v1"
_TICKET_PREFIX = "ticket."
_KEY_PREFIX = "key."
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_is_sid = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch
_is_base64url = re.compile(r"[A-Za-z0-9_-]+={0,2}").fullmatch

Fields = dict[str, list[str]]


class HandshakeRequest(msgspec.Struct, frozen=True, gc=False):
    """An acceptable upgrade request. `ticket` is None when there is none or it cannot be read.

    `subprotocols` are the known ones that the client offered, in its order of preference; the first is `subprotocol`.
    """

    tenant: str
    ticket: str | None
    sid: str | None
    subprotocols: tuple[str, ...]
    key: str
    accept_key: str
    traceparent: TraceParent | None

    @property
    def subprotocol(self) -> str | None:
        """What to answer when the tenant takes either encoding."""
        return self.subprotocols[0] if self.subprotocols else None


@dataclass(frozen=True, slots=True)
class HandshakeFault:
    """A refusal: HTTP status, the body's `code` and `msg`, and header fields that the status asks for."""

    status: int
    code: ErrorCode
    msg: str
    headers: tuple[tuple[str, str], ...] = ()
    names_no_tenant: bool = False
    """It is a handshake but for that."""


def parse_handshake(
    method: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> HandshakeRequest | HandshakeFault:
    """Reads an upgrade request. Names of headers may be in any case; `items()` of a multi-mapping may repeat a name.

    Of several tickets the one in `Authorization: Bearer` wins, then the subprotocol entry, then the query's; the one
    that wins does so even when it cannot be read.
    """
    fields = _collect(headers, lower=True)
    parameters = _collect(query, lower=False)
    fault = _violation(method, fields) or _bad_parameters(parameters)
    if fault is not None:
        return fault
    key = fields["sec-websocket-key"][0].strip()
    offered = _tokens(fields, "sec-websocket-protocol")
    traces = fields.get("traceparent", ())
    return HandshakeRequest(
        tenant=parameters["tenant"][0],
        ticket=_ticket(fields, offered, parameters),
        sid=parameters["sid"][0] if "sid" in parameters else None,
        subprotocols=tuple(name for name in offered if name in (SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK)),
        key=key,
        accept_key=accept_key(key),
        traceparent=parse_traceparent(traces[0].strip()) if len(traces) == 1 else None,
    )


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """An acceptable upgrade whatever it is for, with the subprotocols that were offered, in their order."""

    accept_key: str
    offered: tuple[str, ...]


def parse_upgrade(method: str, headers: Mapping[str, str]) -> UpgradeRequest | HandshakeFault:
    """Reads an upgrade that names nobody in its query: a backend's stream."""
    fields = _collect(headers, lower=True)
    fault = _violation(method, fields)
    if fault is not None:
        return fault
    key = fields["sec-websocket-key"][0].strip()
    return UpgradeRequest(accept_key(key), tuple(_tokens(fields, "sec-websocket-protocol")))


def shown_key(headers: Mapping[str, str]) -> str | None:
    """The API key that stands, as base64url, in a subprotocol entry `key.<it>`: a page cannot set other headers."""
    for name in _tokens(_collect(headers, lower=True), "sec-websocket-protocol"):
        if name.startswith(_KEY_PREFIX):
            return _decode_entry(name.removeprefix(_KEY_PREFIX))
    return None


def negotiate(subprotocols: Sequence[str], *, allow_msgpack: bool) -> str | None:
    """The one to answer of the known ones that were offered, or None: there is none, and JSON is spoken."""
    for offered in subprotocols:
        if allow_msgpack or offered != SUBPROTOCOL_MSGPACK:
            return offered
    return None


def accept_key(key: str) -> str:
    """The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def _violation(method: str, fields: Fields) -> HandshakeFault | None:
    """The first clause of RFC 6455 section 4.2.1 that the request breaks."""
    if method != "GET":
        return HandshakeFault(405, ErrorCode.BAD_REQUEST, "a WebSocket handshake is a GET", (("Allow", "GET"),))
    if "host" not in fields:
        return _bad("Host is missing")
    if "websocket" not in (token.lower() for token in _tokens(fields, "upgrade")):
        return HandshakeFault(
            426,
            ErrorCode.BAD_REQUEST,
            "Upgrade must name websocket",
            (("Upgrade", "websocket"), ("Connection", "Upgrade")),
        )
    if "upgrade" not in (token.lower() for token in _tokens(fields, "connection")):
        return _bad("Connection must name Upgrade")
    versions = fields.get("sec-websocket-version", [])
    if [version.strip() for version in versions] != ["13"]:
        return HandshakeFault(
            426, ErrorCode.BAD_REQUEST, "Sec-WebSocket-Version must be 13", (("Sec-WebSocket-Version", "13"),)
        )
    keys = fields.get("sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0].strip()):
        return _bad("Sec-WebSocket-Key must be 16 bytes in base64")
    return None


def _bad_parameters(parameters: Fields) -> HandshakeFault | None:
    for name in ("tenant", "ticket", "sid"):
        if len(parameters.get(name, ())) > 1:
            return _bad(f"{name} is given more than once")
    if not parameters.get("tenant", [""])[0]:
        return HandshakeFault(400, ErrorCode.BAD_REQUEST, "tenant is missing", names_no_tenant=True)
    if "sid" in parameters and not _is_sid(parameters["sid"][0]):
        return _bad("sid must be 1-64 characters of A-Z a-z 0-9 _ . - :")
    return None


def _ticket(fields: Fields, offered: list[str], parameters: Fields) -> str | None:
    for value in fields.get("authorization", ()):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            return _readable(token.strip())
    for name in offered:
        if name.startswith(_TICKET_PREFIX):
            return _decode_entry(name.removeprefix(_TICKET_PREFIX))
    return _readable(parameters.get("ticket", [""])[0])


def _readable(ticket: str) -> str | None:
    """``ticket``, if there is one and it is text: bytes of a header that are no UTF-8 come as lone surrogates."""
    try:
        ticket.encode()
    except UnicodeEncodeError:
        return None
    return ticket or None


def _decode_entry(text: str) -> str | None:
    if not _is_base64url(text):
        return None
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)).decode() or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except ValueError:
        return False


def _collect(pairs: Mapping[str, str], *, lower: bool) -> Fields:
    fields: Fields = {}
    for name, value in pairs.items():
        fields.setdefault(name.lower() if lower else name, []).append(value)
    return fields


def _tokens(fields: Fields, name: str) -> list[str]:
    """The members of a comma-separated list header, over all its lines."""
    return [token for line in fields.get(name, ()) for part in line.split(",") if (token := part.strip())]


def _bad(msg: str) -> HandshakeFault:
    return HandshakeFault(400, ErrorCode.BAD_REQUEST, msg)
