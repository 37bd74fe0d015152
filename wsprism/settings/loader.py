"""From a file to ``Settings``, or to all its faults at once; and how running settings are shown."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from wsprism.settings.address import ListenAddress
from wsprism.settings.document import Document, read_document, render_path
from wsprism.settings.faults import Fault, SettingsError
from wsprism.settings.models import Settings

__all__ = ["configuration_hash", "load_settings", "masked"]

_MASK = "********"
_SHOWN_CHARACTERS = 80


def load_settings(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> Settings:
    """Read and validate ``path``. Raises SettingsError with every fault that was found."""
    document = read_document(os.fspath(path), os.environ if env is None else env)
    faults = list(document.faults)
    settings: Settings | None = None
    if not isinstance(document.data, dict):
        faults.append(Fault(document.file, 1, "", "must be a mapping with version, gateway and tenants"))
    else:
        try:
            settings = Settings.model_validate(document.data)
        except ValidationError as error:
            faulty = {fault.path for fault in faults}
            found = [_fault(document, details) for details in _telling(error.errors(include_url=False))]
            faults += [fault for fault in found if fault.path not in faulty]
    if faults or settings is None:
        raise SettingsError(sorted(faults, key=lambda fault: fault.line))
    return settings


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, every secret replaced by asterisks."""
    return _plain(settings, lambda _: _MASK)  # type: ignore[no-any-return]


def configuration_hash(settings: Settings) -> str:
    """Equal for configurations that mean the same; secrets count, but cannot be read from it."""
    plain = _plain(settings, lambda secret: hashlib.sha256(secret.get_secret_value().encode()).hexdigest())
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any, show: typing.Callable[[SecretStr], str]) -> Any:
    if isinstance(value, SecretStr):
        return show(value)
    if isinstance(value, ListenAddress):
        return str(value)
    if isinstance(value, BaseModel):
        shown = {name: _plain(getattr(value, name), show) for name in type(value).model_fields}
        if "tokens" in shown:
            shown["tokens"] = {show(SecretStr(ticket)): user for ticket, user in shown["tokens"].items()}
        return shown
    if isinstance(value, dict):
        return {str(key): _plain(one, show) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one, show) for one in value]
    return value


def _telling(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too short" for a list whose items are faulty themselves."""
    return [
        one
        for one in errors
        if one["type"] != "too_short"
        or not any(other is not one and other["loc"][: len(one["loc"])] == one["loc"] for other in errors)
    ]


def _fault(document: Document, details: ErrorDetails) -> Fault:
    path = _real_path(document.data, details["loc"], last_may_miss=details["type"] == "missing")
    return Fault(document.file, document.line_of(path), render_path(path), _problem(details, path))


def _real_path(data: Any, location: tuple[int | str, ...], *, last_may_miss: bool) -> tuple[int | str, ...]:
    """``location`` without what pydantic adds of its own: the tags of unions."""
    path: list[int | str] = []
    for number, part in enumerate(location):
        key: int | str | None = None
        if isinstance(data, dict):
            key = part if part in data else str(part) if str(part) in data else None
            value = data.get(key)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            key, value = part, data[part]
        elif isinstance(part, int) and number and isinstance(location[number - 1], str):
            continue
        if key is not None:
            path.append(key)
            data = value
        elif last_may_miss and number == len(location) - 1:
            path.append(part)
    return tuple(path)


def _problem(details: ErrorDetails, path: tuple[int | str, ...]) -> str:
    found = _shown(details["input"])
    match details["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            names = _field_names(details["loc"][:-1])
            close = difflib.get_close_matches(str(path[-1] if path else ""), names, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}" if names else ""
            return f"unknown key, found {found}{hint}"
        case "union_tag_invalid" | "union_tag_not_found":
            return f"kind must be one of {details.get('ctx', {}).get('expected_tags', 'the known kinds')}, found {found}"
    message = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be").replace("Tuple", "List")
    return f"{message}, found {found}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _field_names(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at ``location`` knows."""
    candidates: list[type[BaseModel]] = [Settings]
    for part in location:
        inner: list[type[BaseModel]] = []
        for model in candidates:
            if isinstance(part, str) and part in model.model_fields:
                inner += _models_in(model.model_fields[part].annotation)
        tagged = [model for model in candidates if part in _tags(model)]
        candidates = inner or tagged or candidates
    names: dict[str, None] = {}
    for model in candidates:
        names |= dict.fromkeys(model.model_fields)
    return list(names)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, typing.Union, types.UnionType, tuple, dict, list):
        return [model for one in get_args(annotation) for model in _models_in(one)]
    return []
