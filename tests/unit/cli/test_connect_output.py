"""What `wsprism connect` shows of frames, refusals and closes."""

from __future__ import annotations

import msgspec
import pytest

from wsprism.cli.connect_output import closed_record, describe, received_record, refused_record, sent_record
from wsprism.cli.console import visible
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.hot import Framing, decode_hot, with_sender


def shown(frame: str | bytes, *, msgpack: bool = False) -> str:
    return describe(received_record(frame, Framing.COMPACT, msgpack=msgpack))[0]


def test_an_ext_message_is_its_name_room_seq_and_data() -> None:
    text = '{"v":1,"svc":"chat","type":"msg","room":"r","seq":3,"data":{"msg":"hé"}}'
    assert shown(text) == '← chat.msg room=r seq=3 {"msg":"hé"}'


def test_a_messagepack_message_shows_the_same() -> None:
    frame = msgspec.msgpack.encode({"v": 1, "svc": "sys", "type": "pong", "data": [1]})
    assert shown(frame, msgpack=True) == "← sys.pong [1]"


def test_a_hot_frame_is_its_header_and_hex() -> None:
    assert shown(bytes.fromhex("0102010700000041ff")) == "← hot 1:2 flags=0x01 seq=7 2 bytes: 41 ff |A.|"


def test_a_hot_frame_names_its_sender() -> None:
    hot = decode_hot(b"\x01\x02\x00A")
    record = received_record(with_sender(hot, "ann"), Framing.COMPACT, msgpack=False)  # type: ignore[arg-type]
    assert (record["sender"], record["payload"]) == ("ann", "41")
    assert "sender=ann" in describe(record)[0]


def test_a_hot_frame_shows_its_rooms_number() -> None:
    record = received_record(bytes.fromhex("010108050000000041"), Framing.COMPACT, msgpack=False)
    assert (record["room"], record["payload"]) == (5, "0041")
    assert "room=5" in describe(record)[0]


@pytest.mark.parametrize(("frame", "msgpack"), [("{", False), (b"\x81", True), (b"\x01", False)])
def test_what_cannot_be_read_is_shown_with_why(frame: str | bytes, msgpack: bool) -> None:
    assert shown(frame, msgpack=msgpack).startswith("← not understood (")


def test_any_json_is_shown() -> None:
    assert shown("[1]") == "← [1]"


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_is_explained(code: CloseCode) -> None:
    record = closed_record(code, "why")
    assert record["meaning"] != "unknown code"
    line = describe(record)[0]
    assert line.startswith(f"closed {int(code)}: {record['meaning']} (why)")
    if code >= 4000:
        assert record["reconnect"] is (code < 4500)


def test_a_connection_that_was_lost_and_a_strange_code_are_told_apart() -> None:
    assert "lost" in describe(closed_record(None, ""))[0]
    assert "unknown code" in describe(closed_record(4321, ""))[0]


def test_a_refusal_shows_the_gateways_code_and_message() -> None:
    record = refused_record(429, b'{"code":"RATE_LIMITED","msg":"slow down"}', "2")
    assert describe(record)[0] == "refused 429: RATE_LIMITED slow down; again after 2 s"
    assert describe(refused_record(502, b"<html>", None))[0].startswith("refused 502")


def test_what_was_sent_is_shown() -> None:
    assert describe(sent_record({"v": 1, "svc": "a", "type": "b", "seq": 1}))[0] == "→ a.b seq=1"
    assert describe(sent_record(b"\x01\x02"))[0] == "→ 0102"


def test_a_peer_cannot_steer_the_terminal() -> None:
    evil = '{"svc":"a\\u001b[2J","type":"b","data":"\\u009b\\u202e\\r\\n"}'
    assert shown(evil).isprintable()
    assert visible("a\x1b\x07") == "a\\x1b\\x07"
