"""wsprism.protocol.stream: messages and hot frames of a backend's stream, in both encodings."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.protocol.stream import HotFromBackend, StreamCodec, StreamFault, hot_to_backend

JSON, MSGPACK = StreamCodec(msgpack=False), StreamCodec(msgpack=True)


def test_a_players_frame_names_its_room_and_user() -> None:
    assert hot_to_backend(7, "user:ann", b"\x02\x01\x00xy") == b"\x07\0\0\0\x08user:ann\x02\x01\x00xy"


def test_a_user_id_that_does_not_fit_is_not_shortened() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        hot_to_backend(1, "x" * 256, b"")


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_a_frame_of_the_backend_names_its_room(codec: StreamCodec) -> None:
    assert codec.read(codec.hot(b"\x07\0\0\0\x02\x01\x00")) == HotFromBackend(7, b"\x02\x01\x00")


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
@pytest.mark.parametrize("message", [{"id": "1", "effects": []}, [{"call": "publish"}, {"call": "send"}]])
def test_objects_and_lists_of_calls_are_read(codec: StreamCodec, message: object) -> None:
    raw = codec.encode(message)
    assert codec.read(raw if codec.msgpack else raw.decode()) == message


@pytest.mark.parametrize("value", [1, None, "x", [], [1], [{}, 2]])
def test_anything_else_is_a_fault(value: object) -> None:
    assert isinstance(JSON.read(json.dumps(value)), StreamFault)
    assert isinstance(MSGPACK.read(msgspec.msgpack.encode(value)), StreamFault)


@given(st.text() | st.binary())
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    for codec in (JSON, MSGPACK):
        codec.read(message)


def test_depth_is_bounded() -> None:
    assert isinstance(JSON.read('{"a":' * 100 + "1" + "}" * 100), StreamFault)
