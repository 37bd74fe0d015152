"""JSON that comes from outside and is no client's message: tickets, key sets, backends' answers, bodies of the API.

How deep it may nest is counted before it is parsed: the parser's own bound is the interpreter's stack, and each
version has another.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec

from wsprism.protocol.nesting import MAX_DEPTH, json_nests_too_deep

__all__ = ["decode_json"]

T = TypeVar("T")


@overload
def decode_json(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any: ...
@overload
def decode_json(body: bytes, kind: type[T], *, max_depth: int = MAX_DEPTH) -> T: ...
def decode_json(body: bytes, kind: Any = Any, *, max_depth: int = MAX_DEPTH) -> Any:
    """``body`` as ``kind``. Whatever is wrong with it, its encoding and its depth too, is a ``msgspec.DecodeError``."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("is not UTF-8") from error
    if json_nests_too_deep(text, max_depth):
        raise msgspec.DecodeError(f"nests more than {max_depth} levels")
    return msgspec.json.decode(text, type=kind)
