"""From a file to ``Settings``, or to all its faults at once."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from wsprism.config_file import Document, SettingsError, read_document
from wsprism.settings.contradictions import contradictions
from wsprism.settings.models import Settings
from wsprism.settings.problems import ABOUT_THE_WHOLE, KINDS, problem
from wsprism.settings.shape import models_in, tags

__all__ = ["load_settings", "settings_in"]

_WANTS_TEXT = {"string_type", "secret"}

Path = tuple[int | str, ...]


def load_settings(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, content: bytes | None = None
) -> Settings:
    """Read and validate ``path``, or ``content`` under its name. Raises SettingsError with every fault."""
    return settings_in(read_document(os.fspath(path), os.environ if env is None else env, content))


def settings_in(document: Document) -> Settings:
    """Validate what was read. Raises SettingsError with every fault, those of the reading too."""
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
        for where, what in contradictions(settings) if settings is not None and not unread else ():
            document.add_fault(document.line_of(where), where, what)
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


def _add_fault(document: Document, details: ErrorDetails, unread: frozenset[Path]) -> None:
    location = details["loc"][:-1] if details["type"] in ABOUT_THE_WHOLE else details["loc"]
    path, models, field = _locate(document.data, location)
    if details["type"] in KINDS and _kind_is_given(document, path):
        path = (*path, "kind")
    within = details["type"] in ABOUT_THE_WHOLE and any(one[: len(path)] == path for one in unread)
    if path not in document.faulty and not within:
        document.add_fault(document.line_of(path), path, problem(details, models, field))


def _locate(data: Any, location: Path) -> tuple[Path, list[type[BaseModel]], FieldInfo | None]:
    """Where pydantic's ``location`` is in the file (it has tags of unions besides), the models that apply there, and
    the field that is there, if one of them has it."""
    path: list[int | str] = []
    models: list[type[BaseModel]] = [Settings]
    field: FieldInfo | None = None
    for number, part in enumerate(location):
        tagged = [model for model in models if part in tags(model)]
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
        field = fields[0] if fields else field
        models = [model for one in fields for model in models_in(one.annotation)] or models
    return tuple(path), models, field


def _kind_is_given(document: Document, path: Path) -> bool:
    value = functools.reduce(operator.getitem, path, document.data)
    return isinstance(value, dict) and "kind" in value
