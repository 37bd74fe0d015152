"""JSON from outside: what is wrong with it is one error, and its depth is counted, not found out by a stack."""

from __future__ import annotations

import msgspec
import pytest

from wsprism.protocol import MAX_DEPTH
from wsprism.protocol.outside_json import decode_json


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 900, 9_000, 60_000])
def test_what_nests_too_deep_is_refused_however_deep(levels: int) -> None:
    with pytest.raises(msgspec.DecodeError, match="nests more than 64 levels"):
        decode_json(b"[" * levels + b"]" * levels)


def test_what_nests_as_deep_as_it_may_is_read() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert isinstance(decode_json(deepest), list)
    with pytest.raises(msgspec.DecodeError):
        decode_json(deepest, max_depth=MAX_DEPTH - 1)


@pytest.mark.parametrize("body", [b"\xff", b"{", b"", b'"\xed\xa0\x80"'])
def test_what_is_no_json_is_refused_with_the_same_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_json(body)


def test_the_wrong_kind_is_refused_with_the_same_error() -> None:
    assert decode_json(b"5", int) == 5
    with pytest.raises(msgspec.DecodeError):
        decode_json(b"[]", int)
