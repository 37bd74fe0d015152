"""How deep a message nests, and whether decoded data is what JSON can say.

Owns MAX_DEPTH and the two checks that the parser's own guards do not make: exact depth, and values that one of the two
encodings has and the other has not. The parser's guard is the interpreter's stack: each version has another.
"""

import math
import re
from itertools import accumulate, chain
from typing import Any, TypeVar

__all__ = ["MAX_DEPTH", "is_portable", "json_nests_too_deep", "may_hold_large_numbers"]

T = TypeVar("T")

MAX_DEPTH = 64
"""Levels of arrays and objects that a message may have; the envelope's own object is the first."""

_SCALARS = frozenset({str, bool, type(None), int, float})
_PORTABLE = _SCALARS | {list, dict}
_STR_ONLY = frozenset({str})
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1

_strings = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = [0] * 256
for _bracket in b"[{":
    _STEP[_bracket] = 1
for _bracket in b"]}":
    _STEP[_bracket] = -1


_large_number = re.compile(rb"[0-9]{19}|[0-9][eE]").search


def may_hold_large_numbers(json: bytes) -> bool:
    """Of well-formed JSON: its parser has seen everything of it but how large its numbers are."""
    return len(json.translate(None, b"0123456789")) < len(json) and _large_number(json) is not None


def json_nests_too_deep(text: str, max_depth: int = MAX_DEPTH) -> bool:
    """Whether `text`, well-formed JSON or not, opens more than `max_depth` levels. Linear in its length."""
    if text.count("[") + text.count("{") <= max_depth:
        return False
    brackets = _strings.sub("", text).encode(errors="replace").translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > max_depth


def is_portable(value: object) -> bool:
    """Whether decoded data can be written in JSON and in MessagePack alike, and nests less than MAX_DEPTH levels.

    Portable are None, bool, str, finite floats, integers from -2^63 to 2^64-1, lists, and dicts with string keys.
    Works level by level, so that depth never becomes recursion and no value costs a step of its own.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if not kinds <= _PORTABLE:
            return False
        if int in kinds and not all(_MIN_INT <= one <= _MAX_INT for one in _only(int, level)):
            return False
        if float in kinds and not all(map(math.isfinite, _only(float, level))):
            return False
        if kinds <= _SCALARS:
            return True
        mappings = _only(dict, level)
        if not set(map(type, chain.from_iterable(mappings))) <= _STR_ONLY:
            return False
        level = [*chain.from_iterable(_only(list, level)), *chain.from_iterable(one.values() for one in mappings)]
    return False


def _only(kind: type[T], values: list[Any]) -> list[T]:
    return [one for one in values if type(one) is kind]
