"""What is said to a client about a faulty ext-lane message: values, never exceptions.

Owns the wording: a fault names the rule that was broken in the protocol's own words and repeats neither the parser's
text nor more of the client's input than an unknown name, shortened. Called by the codecs in envelope.py only; everybody
else reads the values.
"""

import re
from dataclasses import dataclass
from typing import final

import msgspec

from wsprism.protocol.codes import ErrorCode

__all__ = ["DataFault", "EnvelopeFault", "describe_data_error", "describe_envelope_error"]


@final
@dataclass(frozen=True, slots=True)
class EnvelopeFault:
    """Why a message is not an envelope: ready for `sys.error`. `seq` is the message's own when it could be read."""

    code: ErrorCode
    msg: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class DataFault:
    """Why a message's `data` is not what its service takes; answered as BAD_REQUEST."""

    msg: str


RULES = {
    "v": "v must be the integer 1",
    "svc": "svc must be 1-64 characters of A-Z a-z 0-9 _ . -",
    "type": "type must be 1-64 characters of A-Z a-z 0-9 _ . -",
    "flags": "flags must be an integer from 0 to 4294967295",
    "seq": "seq must be an integer from 0 to 9007199254740991",
    "room": "room must be 1-128 characters without control characters",
    "id": "id must be 1-64 visible ASCII characters",
    "trace": "trace must be a string",
}
"""Field of the envelope -> its rule, as a client is told it."""

MALFORMED = "message is not well-formed"
NOT_AN_OBJECT = "message must be an object with v, svc and type"
NOT_BINARY = "this subprotocol takes messages in binary frames"
DATA_MISSING = "data is missing"
NOT_PORTABLE = "data must be what JSON can say, not too deep, with integers of at most 64 bits"
TOO_DEEP = "message nests too deep"
UNKNOWN_FIELD = "message has an unknown field"
UNSUPPORTED = "only version 1 is supported"

MAX_SHOWN = 64
"""Characters of a name that a client sent, where it is repeated to it."""

_KINDS: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "true or false"}

_unknown_field = re.compile(r"unknown field `(.*?)`(?: - at `\$[\w.]*`)?\Z", re.DOTALL).search
_field_at_fault = re.compile(r"`\$\.(\w+)`|missing required field `(\w+)`").search
_data_path = re.compile(r"`\$((?:\.\w{1,64})+)`").search
_missing_field = re.compile(r"missing required field `(\w{1,64})`").search


def describe_envelope_error(error: str) -> str:
    """The rule that the parser's message `error` is about; its own words do not reach the client."""
    if "unknown field" in error:
        return f"{UNKNOWN_FIELD}: {_unknown_name(error)}"
    found = _field_at_fault(error)
    if found is None:
        return NOT_AN_OBJECT
    return RULES.get(found[1] or found[2], NOT_AN_OBJECT)


def describe_data_error(error: str, type: object) -> str:
    """Which part of `data` the parser's message `error` is about, and what the service takes there."""
    path = found[1] if (found := _data_path(error)) else ""
    takes = _what(type)
    if found := _missing_field(error):
        return f"data{path}.{found[1]} is missing; data takes {takes}"
    if "unknown field" in error:
        return f"data{path} has an unknown field: {_unknown_name(error)}; data takes {takes}"
    return f"data{path} is not what this message takes, which is {takes}"


def _unknown_name(error: str) -> str:
    """The name that the client sent, shortened, and of it only what can be shown."""
    found = _unknown_field(error)
    name = found[1] if found is not None else ""
    shown = "".join(one if one.isprintable() else "?" for one in name[:MAX_SHOWN])
    return shown + ("…" if len(name) > MAX_SHOWN else "")


def _what(type: object) -> str:
    """A service's declared data in a client's words: its fields, those in brackets may be left out."""
    try:
        fields = msgspec.structs.fields(type)  # type: ignore[arg-type]
    except TypeError:
        return "other data"
    shown = [one.encode_name if one.required else f"[{one.encode_name}]" for one in fields]
    kinds = [_KINDS.get(one.type, "") for one in fields]
    return "{" + ", ".join(f"{name}: {kind}" if kind else name for name, kind in zip(shown, kinds, strict=True)) + "}"
