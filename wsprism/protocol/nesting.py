"""How deep a message nests, and whether decoded data is what JSON can say.

Owns MAX_DEPTH and the two checks that the parser's own guards do not make: exact depth, and values that one of the two
encodings has and the other has not. Called by the codecs in envelope.py only.
"""

import math
import re
from itertools import accumulate

__all__ = ["MAX_DEPTH", "is_portable", "json_nests_too_deep"]

MAX_DEPTH = 64
"""Levels of arrays and objects that a message may have; the envelope's own object is the first."""

_PLAIN = frozenset({str, bool, type(None)})
_STR_ONLY = frozenset({str})
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1

_strings = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = [0] * 256
for _bracket in b"[{":
    _STEP[_bracket] = 1
for _bracket in b"]}":
    _STEP[_bracket] = -1


def json_nests_too_deep(text: str) -> bool:
    """Whether `text`, which must be well-formed JSON, nests more than MAX_DEPTH levels. Linear in its length."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    brackets = _strings.sub("", text).encode().translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH


def is_portable(value: object) -> bool:
    """Whether decoded data can be written in JSON and in MessagePack alike, and nests less than MAX_DEPTH levels.

    Portable are None, bool, str, finite floats, integers from -2^63 to 2^64-1, lists, and dicts with string keys.
    Works level by level, so that depth never becomes recursion.
    """
    level = [value]
    levels_left = MAX_DEPTH - 1
    while level:
        deeper: list[object] = []
        for item in level:
            if type(item) in _PLAIN:
                continue
            if isinstance(item, dict):
                if levels_left == 0 or set(map(type, item)) - _STR_ONLY:
                    return False
                deeper.extend(item.values())
            elif isinstance(item, list):
                if levels_left == 0:
                    return False
                deeper.extend(item)
            elif not _is_portable_number(item):
                return False
        level = deeper
        levels_left -= 1
    return True


def _is_portable_number(value: object) -> bool:
    if isinstance(value, int):
        return _MIN_INT <= value <= _MAX_INT
    return isinstance(value, float) and math.isfinite(value)
