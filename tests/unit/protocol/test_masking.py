"""A payload comes out as it was masked, byte for byte, whatever its length and wherever it stands in what was read."""

from __future__ import annotations

import random

import pytest

from wsprism.protocol.masking import unmask

_BOUNDARIES = (1000, 4095, 4096, 65_535, 65_536, 100_003)


@pytest.mark.parametrize("length", [*range(160), *_BOUNDARIES])
def test_a_payload_of_any_length_comes_out_as_it_was(length: int) -> None:
    rng = random.Random(length)
    for before in (0, 1, 3, 8):
        key, payload = rng.randbytes(4), rng.randbytes(length)
        masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
        data = rng.randbytes(before) + key + masked + rng.randbytes(rng.randrange(9))
        assert unmask(data, before, length) == payload


@pytest.mark.parametrize("key", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x80\x00\x00\x00"])
def test_keys_at_the_edges_of_a_signed_word_are_keys_like_others(key: bytes) -> None:
    for length in range(40):
        masked = bytes(0xAA ^ key[at % 4] for at in range(length))
        assert unmask(key + masked, 0, length) == b"\xaa" * length
