"""What can be typed into `wsprism connect`, and what it sends."""

from __future__ import annotations

import pytest

from wsprism.cli.connect_input import Help, Mistake, Quit, SendBytes, SendExt, SendText, Wait, parse_line
from wsprism.protocol.hot import Framing


def ext(svc: str, type_: str, **fields: object) -> SendExt:
    return SendExt({"v": 1, "svc": svc, "type": type_, "seq": 9, **fields})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/join match:1", ext("room", "join", room="match:1")),
        ("/join", ext("room", "join")),
        ("/leave a b", ext("room", "leave", room="a b")),
        ("/members", ext("room", "members")),
        ("/say hello  world", ext("chat", "send", data={"msg": "hello  world"})),
        ("just text", ext("chat", "send", data={"msg": "just text"})),
        ("/ping", ext("sys", "ping")),
        ('/ping {"a": 1}', ext("sys", "ping", data={"a": 1})),
        ("/refresh t0", ext("sys", "refresh", data={"ticket": "t0"})),
        ("/send game move [1, 2]", ext("game", "move", data=[1, 2])),
        ("/send game stop", ext("game", "stop")),
        ('{"v": 2}', SendExt({"v": 2})),
        ("/text {broken", SendText("{broken")),
        ("/bytes 01 FF", SendBytes(b"\x01\xff")),
        ("/hot 1 2", SendBytes(b"\x01\x02\x00")),
        ("/hot 1 2 deadbeef", SendBytes(bytes.fromhex("010200deadbeef"))),
        ("/hot 1 2 aa room=5 seq=7", SendBytes(bytes.fromhex("0102090700000005000000aa"))),
        ("/hot 1 2 de ad seq=7 ack", SendBytes(bytes.fromhex("01020307000000dead"))),
        ("/wait 20", Wait(20)),
        ("/help", Help()),
        ("/quit", Quit()),
        ("", None),
        ("  # a comment", None),
    ],
)
def test_a_line_is_one_action(line: str, expected: object) -> None:
    assert parse_line(line, 9) == expected


def test_hot_frames_follow_the_tenants_framing() -> None:
    assert parse_line("/hot 1 2 aa", 1, Framing.VERSIONED) == SendBytes(b"\x01\x01\x02\x00\xaa")


@pytest.mark.parametrize(
    "line",
    ["/nope", "/hot", "/hot 1", "/hot 256 0", "/hot a b", "/hot 1 1 xyz", "/hot 1 1 seq=x",
     "/hot 1 1 room=x", "/hot 1 1 seq=-1",
     "/bytes 0", "/ping {", "/send chat", "{broken", "/wait soon"],
)  # fmt: skip
def test_a_mistake_is_told_and_sends_nothing(line: str) -> None:
    action = parse_line(line, 1)
    assert isinstance(action, Mistake)
    assert action.why
