"""Services in Python: code of the operator's in the gateway's process (docs/services.md)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from wsprism.settings.base import FilePath, Model, Text

__all__ = ["PythonHotSettings", "PythonServiceSettings"]


def _importable(value: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", value):
        raise PydanticCustomError("factory", "must be package.module:function")
    return value


class _PythonCode(Model):
    file: FilePath | None = Field(
        None, description="a file that offers its service as `service`, relative to the configuration"
    )
    factory: Annotated[Text, AfterValidator(_importable)] | None = Field(
        None, description="instead: `package.module:function`, which returns the service"
    )
    entry_point: Text | None = Field(
        None, validate_default=True, description="instead: its name in the group `wsprism.services` of a package"
    )
    options: dict[str, Any] = Field({}, description="what it is told of the configuration; no place for secrets")

    @field_validator("entry_point")
    @classmethod
    def _exactly_one(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "file" not in info.data or "factory" not in info.data:
            return value
        given = [name for name in ("file", "factory") if info.data[name] is not None]
        given += ["entry_point"] if value is not None else []
        if len(given) != 1:
            raise PydanticCustomError(
                "service_code",
                "needs one of file, factory and entry_point, found {given}",
                {"given": " and ".join(given) or "none"},
            )
        return value


class PythonServiceSettings(_PythonCode):
    """A service in Python, in the gateway's process."""

    kind: Literal["python"] = Field(description="code in Python; trusted, as the gateway is")
    handler_timeout_ms: int = Field(
        10_000, ge=10, le=600_000, description="for an async handler; then it is cancelled: TIMEOUT"
    )


class PythonHotSettings(_PythonCode):
    """A hot service: code in Python looks at every frame. With an ext service's code and options it is that one."""

    kind: Literal["python"] = Field(description="code in Python looks at every frame")
    to: Literal["all", "others", "nobody"] = Field("others", description="who gets what it lets pass")
