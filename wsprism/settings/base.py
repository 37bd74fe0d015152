"""What all models of the configuration share, and the kinds of value that several of them use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

__all__ = [
    "EMPTY",
    "HOLDS_SECRETS",
    "Count",
    "FilePath",
    "Model",
    "Secret",
    "Strings",
    "Text",
    "beside_the_configuration",
    "read_text",
    "to_tuple",
]


_SHOWN_CHARACTERS: Final = 200


class _Empty:
    """Stands for a key that is given and has nothing in it. No type takes it."""


EMPTY: Final = _Empty()

HOLDS_SECRETS: Final = object()
"""Marks a field whose value is never shown, in faults either."""


class Model(BaseModel):
    """Strict, closed and immutable.

    A key that is left out has its default. One that is given and empty, or null, is another thing: what restricts must
    not end because a variable of the environment is empty. So it is a fault, but for the keys in ``may_be_empty``.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Keys that mean the same empty as left out: they restrict nothing and protect nobody."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        empty = {name for name, given in value.items() if (given is None or given == "") and cls._must_have_value(name)}
        return value | dict.fromkeys(empty, EMPTY) if empty else value

    @classmethod
    def _must_have_value(cls, name: Any) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and field.default is None and name not in cls.may_be_empty

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Without the null that a default in Python needs, where the file must not have it."""
        schema = handler(core_schema)
        for name, shown in handler.resolve_ref_schema(schema).get("properties", {}).items():
            if cls._must_have_value(name) and "anyOf" in shown:
                shown["anyOf"] = [one for one in shown["anyOf"] if one != {"type": "null"}]
                shown.pop("default", None)
        return schema


def beside_the_configuration(path: str, info: ValidationInfo) -> str:
    """A relative path of the configuration is meant from the directory of its file, wherever the process runs."""
    return os.path.join((info.context or {}).get("directory", ""), path)


def read_text(path: str, info: ValidationInfo, what: str) -> str:
    """The text of a file that the configuration names; ``what`` it is of stands in the fault when there is none."""
    path = beside_the_configuration(path, info)
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        why = "it is not UTF-8"
        raise PydanticCustomError("file", "{what} {path} cannot be read: {why}", _words(what, path, why)) from exc
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "its name is none"
        raise PydanticCustomError("file", "{what} {path} cannot be read: {why}", _words(what, path, why)) from exc


def _words(what: str, path: str, why: str) -> dict[str, str]:
    return {"what": what, "path": _on_one_line(path), "why": why}


def _on_one_line(path: str) -> str:
    shown = path if path.isprintable() else ascii(path)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"


def _read_secret(value: Any, info: ValidationInfo) -> Any:
    """A secret stands in the file, or in a file of its own: ``{file: path}``."""
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, dict):
        path = value.get("file")
        if set(value) != {"file"} or not isinstance(path, str) or not path:
            raise PydanticCustomError("secret", "must be a string or {file: path}")
        value = read_text(path, info, "the secret's file").rstrip("\r\n")
        if not value.strip():
            words = {"path": _on_one_line(beside_the_configuration(path, info))}
            raise PydanticCustomError("file", "the secret's file {path} must not be empty", words)
    if not isinstance(value, str) or not value.strip():
        raise PydanticCustomError("secret", "must be a string that is not empty, or {file: path}")
    return SecretStr(value)


Secret = Annotated[
    SecretStr,
    BeforeValidator(_read_secret),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string"}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""A value that is masked wherever the configuration is shown."""


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return value


Text = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
"""A string with something in it."""

Count = Annotated[int, Field(ge=0)]
"""A ``max_*`` count; 0 is unlimited."""


def to_tuple(value: Any) -> Any:
    """A list of the file as the tuple that a model keeps."""
    return tuple(value) if isinstance(value, list) else value


FilePath = Annotated[Text, AfterValidator(beside_the_configuration)]
"""Where a file is that others read."""

Strings = Annotated[tuple[Text, ...], BeforeValidator(to_tuple)]
"""A list of strings."""
