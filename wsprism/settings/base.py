"""What all models of the configuration share, and the kinds of value that several of them use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["Count", "Model", "Secret", "Strings", "to_tuple"]


class Model(BaseModel):
    """Strict, closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _read_secret(value: Any) -> Any:
    """A secret stands in the file, or in a file of its own: ``{file: path}``."""
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, dict):
        path = value.get("file")
        if set(value) != {"file"} or not isinstance(path, str):
            raise PydanticCustomError("secret", "must be a string or {file: path}")
        try:
            value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
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


Strings = Annotated[tuple[str, ...], BeforeValidator(to_tuple)]
"""A list of strings."""
