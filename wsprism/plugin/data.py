"""What a handler takes as its message's data: found out from its signature, once."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import msgspec.inspect

__all__ = ["DataParameter", "data_parameter"]

_SCALARS: Final = (
    msgspec.inspect.StrType,
    msgspec.inspect.BoolType,
    msgspec.inspect.NoneType,
    msgspec.inspect.FloatType,
)
_LEAST_INTEGER: Final = -(2**63)
_MOST_INTEGER: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class DataParameter:
    """``type`` is Any without an annotation. ``default``: the handler can do without data; ``or_none``: it takes None
    for it. ``plain``: whatever is made of it, holds neither levels below its fields nor large numbers."""

    type: Any
    default: bool
    or_none: bool
    plain: bool


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
    return DataParameter(kind, parameter.default is not inspect.Parameter.empty, or_none, _is_plain(kind))


def _is_plain(kind: Any) -> bool:
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType | msgspec.inspect.TypedDictType):
        return all(_is_scalar(field.type) for field in info.fields)
    return _is_scalar(info)


def _is_scalar(info: msgspec.inspect.Type) -> bool:
    if isinstance(info, msgspec.inspect.UnionType):
        return all(map(_is_scalar, info.types))
    if isinstance(info, msgspec.inspect.IntType):
        return info.ge is not None and info.ge >= _LEAST_INTEGER and info.le is not None and info.le <= _MOST_INTEGER
    return isinstance(info, _SCALARS)


def _shown(kind: Any) -> str:
    return f"a {getattr(kind, '__name__', kind)}"
