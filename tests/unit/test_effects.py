"""wsprism.effects: the JSON form is read whole or not at all; the vectors are those of docs/effects.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.effects import read_effects
from wsprism.protocol.hot import Framing

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "effects.json").read_text())


def shown(effect: Any) -> dict[str, Any]:
    fields = {name: getattr(effect, name) for name in effect.__struct_fields__ if name not in ("wants", "echo")}
    for name, value in fields.items():
        if isinstance(value, msgspec.Raw):
            fields[name] = json.loads(bytes(value))
        elif isinstance(value, bytes):
            fields[name] = value.hex()
    return {"effect": type(effect).__name__, **fields}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    body = vector["body"] if isinstance(vector["body"], str) else json.dumps(vector["body"])
    read = read_effects(body.encode(), framing=Framing.COMPACT, max_bytes=1000)
    if "fault" in vector:
        assert isinstance(read, str)
        assert vector["fault"] in read
    else:
        assert isinstance(read, list), read
        assert [shown(one) for one in read] == vector["effects"]


@given(st.binary() | st.text().map(lambda text: ('{"effects":[' + text + "]}").encode("utf-8", "replace")))
def test_anything_is_read_or_refused(body: bytes) -> None:
    read_effects(body, framing=Framing.COMPACT, max_bytes=1000)


def test_a_list_is_bounded() -> None:
    body = json.dumps({"effects": [{"reply": 1}] * 65}).encode()
    assert "64 are allowed" in str(read_effects(body, framing=Framing.COMPACT, max_bytes=1000))


@pytest.mark.parametrize(("levels", "deep"), [(61, False), (62, True)])
def test_levels_are_bounded_at_64_with_those_around_the_data(levels: int, deep: bool) -> None:
    body = b'{"effects":[{"reply":' + b"[" * levels + b"]" * levels + b"}]}"
    read = read_effects(body, framing=Framing.COMPACT, max_bytes=1000)
    assert read == "the effects nest too deep" if deep else isinstance(read, list)
