"""From a file to ``Settings``, or to all its faults at once."""

from __future__ import annotations

import difflib
import functools
import operator
import os
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wsprism.config_file import Document, SettingsError, read_document
from wsprism.settings.models import Settings

__all__ = ["load_settings"]

_SHOWN_CHARACTERS = 80
_WANTS_TEXT = {"string_type", "secret"}
_ABOUT_THE_WHOLE = {"jwt_key", "jwt_algorithms", "tls"}
_NEVER_SHOWN = {"key_file", "public_key", "secret_file", "url", "webhook_secret"}
_KINDS = {"union_tag_invalid", "union_tag_not_found"}
_MESSAGES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "model_attributes_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_type": "must be a string",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}


def load_settings(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, content: bytes | None = None
) -> Settings:
    """Read and validate ``path``, or ``content`` under its name. Raises SettingsError with every fault."""
    document = read_document(os.fspath(path), os.environ if env is None else env, content)
    settings: Settings | None = None
    if not isinstance(document.data, dict):
        document.add_fault(1, (), "must be a mapping with version, gateway and tenants")
    else:
        settings, found = _validate(document)
        if _take_references_as_text(document, found):
            settings, found = _validate(document)
        unread = frozenset(document.faulty)
        for details in found:
            _add_fault(document, details, unread)
    if document.faults or settings is None:
        raise SettingsError(sorted(document.faults, key=lambda fault: fault.line))
    return settings


def _validate(document: Document) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        context = {"tenant_ids": set(), "directory": os.path.dirname(document.file)}
        return Settings.model_validate(document.data, context=context), []
    except ValidationError as error:
        return None, _telling(error.errors(include_url=False))


def _take_references_as_text(document: Document, found: list[ErrorDetails]) -> bool:
    """A reference that was read as a number, where text is wanted, is that text: ``${SECRET}`` may be ``123``."""
    changed = False
    for details in found:
        path = _locate(document.data, details["loc"])[0]
        if details["type"] in _WANTS_TEXT and path in document.references:
            holder = functools.reduce(operator.getitem, path[:-1], document.data)
            holder[path[-1]] = document.references[path]
            changed = True
    return changed


def _telling(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too short" for a list whose items are faulty themselves."""
    return [
        one
        for one in errors
        if one["type"] != "too_short"
        or not any(other is not one and other["loc"][: len(one["loc"])] == one["loc"] for other in errors)
    ]


def _add_fault(document: Document, details: ErrorDetails, unread: frozenset[tuple[int | str, ...]]) -> None:
    location = details["loc"][:-1] if details["type"] in _ABOUT_THE_WHOLE else details["loc"]
    path, models = _locate(document.data, location)
    if details["type"] in _KINDS and _kind_is_given(document, path):
        path = (*path, "kind")
    within = details["type"] in _ABOUT_THE_WHOLE and any(one[: len(path)] == path for one in unread)
    if path not in document.faulty and not within:
        document.add_fault(document.line_of(path), path, _problem(details, models))


def _locate(data: Any, location: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], list[type[BaseModel]]]:
    """Where pydantic's ``location`` is in the file (it has tags of unions besides), and the models that apply there."""
    path: list[int | str] = []
    models: list[type[BaseModel]] = [Settings]
    for number, part in enumerate(location):
        tagged = [model for model in models if part in _tags(model)]
        if tagged and isinstance(location[number - 1], int):
            models = tagged
            continue
        fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
        elif isinstance(data, dict) and (part in data or str(part) in data):
            path.append(part if part in data else str(part))
            data = data[path[-1]]
        elif isinstance(data, dict) and fields:
            path.append(part)
            data = None
        models = [model for one in fields for model in _models_in(one.annotation)] or models
    return tuple(path), models


def _kind_is_given(document: Document, path: tuple[int | str, ...]) -> bool:
    value = functools.reduce(operator.getitem, path, document.data)
    return isinstance(value, dict) and "kind" in value


def _problem(details: ErrorDetails, models: list[type[BaseModel]]) -> str:
    kind, value = details["type"], details["input"]
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"unknown key{_hint(str(details['loc'][-1]), models)}"
        case "union_tag_invalid" | "union_tag_not_found":
            kinds = ", ".join(dict.fromkeys(tag for model in models for tag in _tags(model)))
            given = value.get("kind") if isinstance(value, dict) else value
            return f"the kind must be one of {kinds}, found {'none' if given is None else _shown(given)}"
        case "secret":
            return f"{details['msg']}, found {'nothing' if value is None or value == '' else 'something else'}"
    message = _MESSAGES.get(kind) or details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if kind in _ABOUT_THE_WHOLE or kind in _NEVER_SHOWN:
        return message
    message = f"{message}, found {_shown(value)}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"{message}; quote it to make it a string"
    if kind in ("int_type", "float_type") and isinstance(value, str) and value.strip("+-").isdigit():
        return f"{message}; write it without quotes and leading zeros"
    return message


def _hint(name: str, models: list[type[BaseModel]]) -> str:
    names = list(dict.fromkeys(field for model in models for field in model.model_fields))
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, typing.Union, types.UnionType, tuple, dict, list):
        return [model for one in get_args(annotation) for model in _models_in(one)]
    return []
