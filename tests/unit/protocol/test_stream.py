"""wsprism.protocol.stream: messages and hot frames of a backend's stream, in both encodings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.protocol.stream import HotFromBackend, StreamCodec, StreamFault, hot_to_backend

JSON, MSGPACK = StreamCodec(msgpack=False), StreamCodec(msgpack=True)


def said(codec: StreamCodec, message: Any) -> str | bytes:
    return msgspec.msgpack.encode(message) if codec.msgpack else json.dumps(message)


def test_a_players_frame_names_its_room_and_user() -> None:
    assert hot_to_backend(7, "user:ann", b"\x02\x01\x00xy") == b"\x07\0\0\0\x08user:ann\x02\x01\x00xy"


def test_a_user_id_that_does_not_fit_is_not_shortened() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        hot_to_backend(1, "x" * 256, b"")


@pytest.mark.parametrize(("codec", "mark"), [(JSON, b""), (MSGPACK, b"\xc1")])
def test_a_frame_of_the_backend_names_its_room(codec: StreamCodec, mark: bytes) -> None:
    assert codec.read(mark + b"\x07\0\0\0\x02\x01\x00") == HotFromBackend(7, b"\x02\x01\x00")
    assert codec.hot_frame(b"xyz") == bytes((0x82, 3 + len(mark))) + mark + b"xyz"


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_an_object_is_read_field_by_field(codec: StreamCodec) -> None:
    read = codec.read(said(codec, {"id": "1", "effects": [{"reply": [1, None]}]}))
    assert isinstance(read, dict)
    assert {name: json.loads(bytes(raw)) for name, raw in read.items()} == {
        "id": "1",
        "effects": [{"reply": [1, None]}],
    }


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_a_list_of_calls_is_read_in_its_order(codec: StreamCodec) -> None:
    read = codec.read(said(codec, [{"call": "publish"}, {"call": "send"}]))
    assert isinstance(read, list)
    assert [bytes(one["call"]) for one in read] == [b'"publish"', b'"send"']


def test_json_keeps_what_it_says_to_the_digit() -> None:
    read = JSON.read('{"id": "1", "data": 1.0000000000000000000001e5}')
    assert isinstance(read, dict)
    assert bytes(read["data"]) == b"1.0000000000000000000001e5"


@pytest.mark.parametrize("value", [1, None, "x", [], [1], [{}, 2]])
def test_anything_else_is_a_fault(value: object) -> None:
    assert isinstance(JSON.read(json.dumps(value)), StreamFault)
    assert isinstance(MSGPACK.read(msgspec.msgpack.encode(value)), StreamFault)


@given(st.text() | st.binary())
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    for codec in (JSON, MSGPACK):
        codec.read(message)


def test_depth_is_bounded() -> None:
    assert isinstance(JSON.read('{"a":' * 200 + "1" + "}" * 200), StreamFault)


def test_a_body_is_a_text_frame_or_the_same_in_messagepack() -> None:
    assert JSON.frame(b'{"a":1}') == b'\x81\x07{"a":1}'
    assert MSGPACK.frame(b'{"a":1}') == b"\x82\x04\x81\xa1a\x01"
