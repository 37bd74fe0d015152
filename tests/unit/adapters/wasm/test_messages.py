"""What a guest reads is compact, however its client has written it."""

from __future__ import annotations

import msgspec
import pytest

from wsprism.adapters.wasm.messages import compact


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"a":1}', b'{"a":1}'),
        (b'{"a": 1}', b'{"a":1}'),
        (b'{\n\t"a":\r[1 ,2]}', b'{"a":[1,2]}'),
        (b'"a b"', b'"a b"'),
        (b'{"a b" : "c  d"}', b'{"a b":"c  d"}'),
        (b"[1.50, 1e3, null]", b"[1.50,1e3,null]"),
        (b'"\\u00e9 \\n"', b'"\\u00e9 \\n"'),
    ],
)
def test_there_is_no_space_between_its_parts_and_every_one_within_its_strings(written: bytes, read: bytes) -> None:
    assert bytes(compact(msgspec.Raw(written))) == read
