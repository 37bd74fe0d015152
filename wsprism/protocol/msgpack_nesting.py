"""How deep a MessagePack message nests, counted on its bytes: no stack but one list, the same on every interpreter.

A Python step for each value, so the codec asks only about a message that it is going to refuse anyway: what it takes
has been counted level by level in nesting.py.
"""

from __future__ import annotations

from wsprism.protocol.nesting import MAX_DEPTH

__all__ = ["msgpack_before_nesting", "msgpack_nests_too_deep"]

_WHOLE = [0] * 256
"""First byte -> bytes of the whole value, where the first byte alone says it; else 0."""
_LENGTH = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""First byte of binary, extensions and strings -> bytes of the length that follows."""
_COUNT = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
"""First byte of large arrays and maps -> bytes of the count that follows."""

for _first in range(256):
    if _first < 0x80 or _first >= 0xE0 or 0xC0 <= _first <= 0xC3:
        _WHOLE[_first] = 1
    elif 0xA0 <= _first < 0xC0:
        _WHOLE[_first] = 1 + (_first & 0x1F)
for _first, _more in zip(range(0xCA, 0xD4), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8), strict=True):
    _WHOLE[_first] = 1 + _more
for _first, _more in zip(range(0xD4, 0xD9), (1, 2, 4, 8, 16), strict=True):
    _WHOLE[_first] = 2 + _more


def msgpack_nests_too_deep(payload: bytes, max_depth: int = MAX_DEPTH) -> bool:
    """Whether `payload` opens more than `max_depth` levels, as far as it can be read."""
    if len(payload) <= max_depth:
        return False
    at = 0
    waiting = [1]  # values that are still to come, level by level
    while at < len(payload):
        while waiting and not waiting[-1]:
            waiting.pop()
        if not waiting:
            return False
        waiting[-1] -= 1
        after, inside = _next(payload, at)
        if inside is not None:
            if len(waiting) > max_depth:
                return True
            waiting.append(inside)
        at = after
    return False


def msgpack_before_nesting(payload: bytes) -> bytes | None:
    """A map of the plain fields that stand before the first that nests; None where no map begins."""
    start, values = _next(payload, 0) if payload else (0, None)
    if values is None or not (0x80 <= payload[0] < 0x90 or payload[0] in (0xDE, 0xDF)):
        return None
    fields, end = 0, start
    while fields < values // 2:
        at = end
        for _ in range(2):
            if at >= len(payload):
                break
            at, inside = _next(payload, at)
            if inside is not None:
                break
        else:
            fields, end = fields + 1, at
            continue
        break
    return b"\xdf" + fields.to_bytes(4, "big") + payload[start:end]


def _next(payload: bytes, at: int) -> tuple[int, int | None]:
    """Where the value at `at` ends, or its first inner value begins; and how many values stand in it, if it nests."""
    first = payload[at]
    if size := _WHOLE[first]:
        return at + size, None
    if first < 0x90:
        return at + 1, (first & 0x0F) * 2
    if first < 0xA0:
        return at + 1, first & 0x0F
    width = _LENGTH.get(first) or _COUNT[first]
    told = int.from_bytes(payload[at + 1 : at + 1 + width], "big")
    after = at + 1 + width
    if first in _COUNT:
        return after, told * 2 if first >= 0xDE else told
    return after + told + (0xC7 <= first <= 0xC9), None
