"""Conflation rules: how they are written, and the key that each gives a frame."""

from __future__ import annotations

import pytest

from qos import Conflation, ConflationKind, ConflationSyntaxError, QosError


@pytest.mark.parametrize(
    ("text", "key"),
    [("none", None), ("sender", "anna"), ("sender_opcode", ("anna", 7)), ("key:2", b"xy"), ("key:4", None)],
)
def test_each_rule_has_its_key(text: str, key: object) -> None:
    assert Conflation.parse(text).key_for("anna", 7, memoryview(b"xyz")) == key


def test_only_none_is_inactive() -> None:
    assert not Conflation().active
    assert Conflation.parse("key:12") == Conflation(ConflationKind.KEY, 12)
    assert Conflation.parse("sender").active


@pytest.mark.parametrize("text", ["", "key", "key:", "key:0", "key:-1", "key:2x", "SENDER", "key:2\n"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConflationSyntaxError, match="sender_opcode") as caught:
        Conflation.parse(text)
    assert caught.value.text == text
    assert isinstance(caught.value, QosError)
