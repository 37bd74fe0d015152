"""What a handler takes as its message's data: found out from its signature, once."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import msgspec.inspect

__all__ = ["DataParameter", "data_parameter"]


@dataclass(frozen=True, slots=True)
class DataParameter:
    """``type`` is Any without an annotation. ``default``: the handler can do without data; ``or_none``: it takes None
    for it."""

    type: Any
    default: bool
    or_none: bool


def data_parameter(function: Callable[..., Any], local_names: Mapping[str, Any]) -> DataParameter | None:
    """The second parameter of a handler; None: it has only one. ``local_names`` are those around its definition.

    Raises NameError when its annotation names what is not there yet, TypeError when no data can be made of it.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < 2:
        return None
    parameter = parameters[1]
    kind: Any = Any
    if parameter.annotation is not inspect.Parameter.empty:
        shown = types.SimpleNamespace(__annotations__={"data": parameter.annotation})
        kind = typing.get_type_hints(shown, function.__globals__, dict(local_names), include_extras=True)["data"]
    if kind is not Any:
        try:
            msgspec.json.Decoder(kind)
            msgspec.msgpack.Decoder(kind)
            if isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType):
                raise TypeError("it is neither a Struct, a dataclass, a TypedDict nor anything else that JSON has")
        except (TypeError, ValueError) as error:
            raise TypeError(f"{function.__name__}: no data can be made {_shown(kind)}: {error}") from error
    or_none = type(None) in typing.get_args(kind) or kind is type(None) or kind is Any
    return DataParameter(kind, parameter.default is not inspect.Parameter.empty, or_none)


def _shown(kind: Any) -> str:
    return f"a {getattr(kind, '__name__', kind)}"
