"""Takes the mask off a frame's payload (RFC 6455 §5.3): the one piece of work here that looks at every byte.

Compiled, it goes by machine words; interpreted, by one exclusive-or of two long integers, the fastest that Python has
up to some 4,000 bytes. Both give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # known where it is compiled; the interpreter needs neither
    from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
    from mypy_extensions import i32, i64, u8

__all__ = ["unmask"]

_integer: Final = int.from_bytes
_KEY: Final = 0xFFFFFFFF
_SHORT: Final = 126
_REPEATED: Final = tuple(sum(1 << 32 * word for word in range(words)) for words in range(_SHORT // 4 + 3))
"""By the number of words: what makes of a key a number in which it is each of so many."""


def unmask(data: bytes, mask_at: int, length: int) -> bytes:
    """The ``length`` bytes of payload behind the four of the key at ``mask_at``; ``data`` holds all of them."""
    if _IS_COMPILED:
        return _by_words(data, mask_at, length)
    if length < _SHORT:
        size = (length + 7) & ~3  # of the key and the payload in whole words, which are one number
        masked = _integer(data[mask_at : mask_at + size], "little")
        return (masked ^ (masked & _KEY) * _REPEATED[size >> 2]).to_bytes(size, "little")[4 : 4 + length]
    payload_at = mask_at + 4
    repeated = (data[mask_at:payload_at] * ((length + 3) // 4))[:length]
    payload = _integer(data[payload_at : payload_at + length], "little")
    return (payload ^ _integer(repeated, "little")).to_bytes(length, "little")


def _by_words(data: bytes, mask_at: i64, length: i64) -> bytes:
    key: i32 = read_i32_le(data, mask_at)
    half: i64 = i64(key) & 0xFFFFFFFF
    keys: i64 = half | half << 32
    at: i64 = mask_at + 4
    end: i64 = at + length
    bare = BytesWriter()
    while at + 8 <= end:
        write_i64_le(bare, read_i64_le(data, at) ^ keys)
        at += 8
    if at + 4 <= end:
        write_i32_le(bare, read_i32_le(data, at) ^ key)
        at += 4
    while at < end:
        bare.append(u8((i64(data[at]) ^ half) & 0xFF))
        half >>= 8
        at += 1
    return bare.getvalue()


_IS_COMPILED: Final = not hasattr(unmask, "__code__")
