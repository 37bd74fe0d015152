"""The field type of a listener's address."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from wsprism.config_file import ListenAddress, parse_listen

__all__ = ["Listen"]


def _validate(value: Any) -> Any:
    if isinstance(value, ListenAddress):
        return value
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        return parse_listen(value)
    except ValueError as exc:
        raise PydanticCustomError("listen", "must be host:port, [ipv6]:port or unix:/path") from exc


Listen = Annotated[ListenAddress, BeforeValidator(_validate), WithJsonSchema({"type": "string"})]
"""The field type of a listener's address."""
