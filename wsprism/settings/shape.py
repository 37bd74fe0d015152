"""What a model's annotations hold: the models below it, the tags of its kind."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

__all__ = ["annotations_in", "models_in", "tags"]


def annotations_in(annotation: Any) -> Iterator[Any]:
    """``annotation`` itself, and what it is made of."""
    yield annotation
    if get_origin(annotation) in (Annotated, typing.Union, types.UnionType, tuple, dict, list):
        for one in get_args(annotation):
            yield from annotations_in(one)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a value of ``annotation`` is, or has as its items."""
    return [one for one in annotations_in(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """What its ``kind`` may be; none for a model that is no kind of anything."""
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None else ()
