"""What all models of the configuration share, and the kinds of value that several of them use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

__all__ = ["Count", "FilePath", "Model", "Secret", "Strings", "beside_the_configuration", "to_tuple"]


class Model(BaseModel):
    """Strict, closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def beside_the_configuration(path: str, info: ValidationInfo) -> str:
    """A relative path of the configuration is meant from the directory of its file, wherever the process runs."""
    return os.path.join((info.context or {}).get("directory", ""), path)


def _read_secret(value: Any, info: ValidationInfo) -> Any:
    """A secret stands in the file, or in a file of its own: ``{file: path}``."""
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, dict):
        path = value.get("file")
        if set(value) != {"file"} or not isinstance(path, str):
            raise PydanticCustomError("secret", "must be a string or {file: path}")
        try:
            value = Path(beside_the_configuration(path, info)).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise PydanticCustomError(
                "secret_file", "the secret's file cannot be read: {why}", {"why": str(exc)}
            ) from exc
    if not isinstance(value, str) or not value:
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

Count = Annotated[int, Field(ge=0)]
"""A ``max_*`` count; 0 is unlimited."""


def to_tuple(value: Any) -> Any:
    """A list of the file as the tuple that a model keeps."""
    return tuple(value) if isinstance(value, list) else value


FilePath = Annotated[str, AfterValidator(beside_the_configuration)]
"""Where a file is that others read."""

Strings = Annotated[tuple[str, ...], BeforeValidator(to_tuple)]
"""A list of strings."""
