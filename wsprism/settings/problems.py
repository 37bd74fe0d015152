"""What a fault says: what a key must be, what was found (never a secret), and what to write instead.

One voice for everything that a model can find wrong. The validation library's own words never get out: what it has no
sentence for here is said in general.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, core_schema

from wsprism.settings.base import EMPTY, HOLDS_SECRETS
from wsprism.settings.shape import annotations_in, models_in, tags

__all__ = ["ABOUT_THE_WHOLE", "KINDS", "problem", "shown"]

ABOUT_THE_WHOLE: Final = {"backend", "jwt_key", "jwt_algorithms", "service_code", "tls"}
"""Types of error that name one key and mean the mapping around it."""

KINDS: Final = {"union_tag_invalid", "union_tag_not_found"}

_SHOWN_CHARACTERS: Final = 80
_SAYS_ALL: Final = ABOUT_THE_WHOLE | {"file", "keys", "public_key", "service_name", "reserved_id", "webhook_secret"}
"""What such a message says needs no value, or the value is a secret."""
_URL: Final = "must be http(s)://host[:port]/path, without a user and password in it"
_MESSAGES: Final = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "model_attributes_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_pattern_mismatch": _URL,
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
_THEIRS: Final = frozenset(get_args(core_schema.ErrorType))
_RANGES: Final = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


def problem(details: ErrorDetails, models: Sequence[type[BaseModel]], field: FieldInfo | None) -> str:
    """One sentence. ``models`` are what applies where the fault is, ``field`` is the key's own."""
    kind, value = details["type"], details["input"]
    if value is EMPTY:
        return "must not be empty: give it a value, or leave the key out"
    if kind == "missing":
        return f"is missing: {field.description}" if field is not None else "is missing"
    if kind == "extra_forbidden":
        return f"unknown key{_hint(str(details['loc'][-1]), models)}"
    if kind in KINDS:
        kinds = ", ".join(dict.fromkeys(tag for model in models for tag in tags(model)))
        given = value.get("kind") if isinstance(value, dict) else value
        return f"the kind must be one of {kinds}, found {'none' if given is None else shown(given)}"
    if kind == "secret":
        found = "nothing" if value is None or value == "" else "something else"
        return f"{details['msg']}, found {found}"
    message = _must(details, field)
    if kind in _SAYS_ALL:
        return message
    if kind in ("url", "string_pattern_mismatch") and isinstance(value, str):
        return f"{message}, found {_without_secrets(value)}"
    message = f"{message}, found {_masked(value, models, field)}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"{message}; quote it to make it a string"
    if kind in ("int_type", "float_type") and isinstance(value, str) and value.strip("+-").isdigit():
        return f"{message}; write it without quotes and leading zeros"
    return message


def _must(details: ErrorDetails, field: FieldInfo | None) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind in _RANGES:
        return f"must be {_range(_bounds(field) or context)}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    # A type of our own has a message of our own; all of theirs have a name that their table knows.
    return "is not what this key takes" if kind in _THEIRS else details["msg"]


def _bounds(field: FieldInfo | None) -> dict[str, Any]:
    """All bounds of a number's field, so that a fault says the whole range."""
    metadata = field.metadata if field is not None else []
    found = {
        name: getattr(one, name, None) for name in ("gt", "ge", "lt", "le") for one in metadata if hasattr(one, name)
    }
    return {name: bound for name, bound in found.items() if bound is not None}


def _range(bounds: dict[str, Any]) -> str:
    if "ge" in bounds and "le" in bounds:
        return f"from {bounds['ge']} to {bounds['le']}"
    words = (("gt", "above {}"), ("ge", "{} or more"), ("lt", "below {}"), ("le", "at most {}"))
    return " and ".join(text.format(bounds[name]) for name, text in words if name in bounds)


def _hint(name: str, models: Sequence[type[BaseModel]]) -> str:
    names = list(dict.fromkeys(field for model in models for field in model.model_fields))
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"


def _masked(value: Any, models: Sequence[type[BaseModel]], field: FieldInfo | None) -> str:
    """The value, unless it stands where a secret, or a mapping with one, is expected."""
    may_be_secret = isinstance(value, str) and value not in {tag for model in models for tag in tags(model)}
    if may_be_secret and field is not None and any(map(_holds_secret, _fields_below(field))):
        return "something else"
    return shown(value)


def _fields_below(field: FieldInfo) -> Iterator[FieldInfo]:
    yield field
    for model in models_in(field.annotation):
        yield from model.model_fields.values()


def _holds_secret(field: FieldInfo) -> bool:
    return HOLDS_SECRETS in field.metadata or SecretStr in annotations_in(field.annotation)


def _without_secrets(url: str) -> str:
    return "something else" if "@" in url else shown(url)


def shown(value: Any) -> str:
    """A value as a fault says what was found: short, on one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
