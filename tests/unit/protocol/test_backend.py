"""Answers to connect and join: what not every client could be told makes one unusable; a plain no stays a no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsprism.protocol.backend import ConnectAnswer, JoinAnswer, decode_connect, decode_join

TOO_LARGE = ["1e999", str(2**64), f'{{"deep": [{-(2**70)}]}}']


@pytest.mark.parametrize("decode", [decode_connect, decode_join])
@pytest.mark.parametrize("field", ["data", "info"])
@pytest.mark.parametrize("value", TOO_LARGE)
def test_a_number_that_messagepack_cannot_say_makes_an_answer_unusable(
    decode: Callable[[bytes], Any], field: str, value: str
) -> None:
    answer = decode(f'{{"allow": true, "{field}": {value}}}'.encode())
    assert answer == f"{field} in the answer has a number that is too large: integers have at most 64 bits"
    assert decode(f'{{"allow": false, "{field}": {value}}}'.encode()).allow is False


def test_metadata_are_what_a_ticket_could_say() -> None:
    assert isinstance(decode_connect(f'{{"allow": true, "metadata": {{"a": {2**70}}}}}'.encode()), str)
    assert isinstance(decode_connect(b'{"allow": true, "metadata": {"a": 1}}'), ConnectAnswer)


def test_large_numbers_that_every_client_can_be_told_are_allowed() -> None:
    for value in (str(2**64 - 1), str(-(2**63)), "1e300", '"1e999"'):
        assert isinstance(decode_join(f'{{"allow": true, "data": {value}}}'.encode()), JoinAnswer)
