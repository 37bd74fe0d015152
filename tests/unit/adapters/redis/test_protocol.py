"""wsprism.adapters.redis.protocol: recorded and hostile byte streams, split anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.adapters.redis.protocol import AWAY, BACKLOG, Conversation, Refused, Unknown


class Talk:
    """A conversation, and what it was told by number of the command."""

    def __init__(self, *, max_waiting_bytes: int = 10_000, max_reply_bytes: int = 10_000) -> None:
        self.pushes: list[Any] = []
        self.answers: list[tuple[int, Any]] = []
        self.said = 0
        self.it = Conversation(self.pushes.append, max_waiting_bytes=max_waiting_bytes, max_reply_bytes=max_reply_bytes)

    def say(self, *command: bytes | str | int, urgent: bool = False) -> bytes | Refused:
        number = self.said = self.said + 1
        return self.it.say(command, lambda answer: self.answers.append((number, answer)), 0.0, urgent=urgent)

    def subscribe(self, *channels: bytes) -> None:
        number = self.said = self.said + 1
        self.it.subscribe("SSUBSCRIBE", channels, lambda answer: self.answers.append((number, answer)), 0.0)

    def plain(self) -> list[tuple[int, Any]]:
        """Answers as they can be compared."""
        return [(number, str(one) if isinstance(one, Refused) else one) for number, one in self.answers]


RECORDED = (
    b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$2\r\nid\r\n:7\r\n$7\r\nmodules\r\n*0\r\n"
    b">3\r\n$8\r\nsmessage\r\n$4\r\nroom\r\n$6\r\nwith\r\n\r\n"
    b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n$0\r\n\r\n"
    b"-NOSCRIPT No matching script.\r\n"
    b">3\r\n+ssubscribe\r\n$1\r\na\r\n:1\r\n"
    b">3\r\n+smessage\r\n$1\r\na\r\n$1\r\nx\r\n"
    b">3\r\n+ssubscribe\r\n$1\r\nb\r\n:2\r\n"
    b"+OK\r\n,0.5\r\n#t\r\n"
)


def hear_recorded(pieces: list[bytes]) -> Talk:
    talk = Talk()
    for _ in range(3):
        talk.say("X")
    talk.subscribe(b"a", b"b")
    for _ in range(3):
        talk.say("X")
    for piece in pieces:
        assert talk.it.hear(piece) is None
    return talk


@given(st.lists(st.integers(0, len(RECORDED)), max_size=30))
def test_a_stream_means_the_same_wherever_it_is_split(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(RECORDED)]
    talk = hear_recorded([RECORDED[one:other] for one, other in pairwise(edges)])
    assert talk.plain() == [
        (1, {b"server": b"redis", b"id": 7, b"modules": []}),
        (2, [1, [b"a", None], b""]),
        (3, "NOSCRIPT No matching script."),
        (4, None),
        (5, b"OK"),
        (6, 0.5),
        (7, True),
    ]
    assert talk.pushes == [[b"smessage", b"room", b"with\r\n"], [b"smessage", b"a", b"x"]]
    assert (len(talk.it), talk.it.waiting_bytes) == (0, 0)


def test_a_stream_byte_by_byte() -> None:
    assert len(hear_recorded([RECORDED[at : at + 1] for at in range(len(RECORDED))]).answers) == 7


def test_commands_are_packed_whatever_is_in_them() -> None:
    assert (
        Talk().say("SET", b"a\xff\r\n", 12, "é")
        == b"*4\r\n$3\r\nSET\r\n$4\r\na\xff\r\n\r\n$2\r\n12\r\n$2\r\n\xc3\xa9\r\n"
    )


def test_a_refused_subscription_is_answered_once() -> None:
    talk = Talk()
    talk.subscribe(b"a", b"b")
    talk.say("PING")
    talk.it.hear(b"-NOPERM no channel\r\n+PONG\r\n")
    assert talk.plain() == [(1, "NOPERM no channel"), (2, b"PONG")]


def test_a_confirmation_that_nobody_waits_for_is_a_push() -> None:
    talk = Talk()
    talk.say("PING")
    talk.it.hear(b">3\r\n+sunsubscribe\r\n+a\r\n:0\r\n+PONG\r\n")
    assert talk.plain() == [(1, b"PONG")]
    assert talk.pushes == [[b"sunsubscribe", b"a", 0]]


@pytest.mark.parametrize(
    "stream",
    [
        b"garbage\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"$9999999999999999999\r\n",
        b"*4294967295\r\n",
        b"*-5\r\n",
        b"%1\r\n*1\r\n:1\r\n:1\r\n",
        b"*1\r\n" * 5000,
        b"!5\r\nERR y\r\n",
        b":12a\r\n",
        b",x\r\n",
        b"#x\r\n",
        b"+OK\r\n+an answer to nothing\r\n",
        b"|1\r\n+ttl\r\n:3\r\n+an attribute makes one answer too many\r\n",
    ],
)
def test_what_is_no_resp3_is_a_fault_and_never_an_exception(stream: bytes) -> None:
    talk = Talk()
    talk.say("X")
    assert talk.it.hear(stream)
    talk.it.end("fault")
    assert len(talk.answers) == 1


@given(st.binary(max_size=300))
def test_any_bytes_answer_each_command_once_at_most(stream: bytes) -> None:
    talk = Talk()
    for _ in range(3):
        talk.say("X")
    talk.it.hear(stream)
    talk.it.end("over")
    assert [number for number, _ in talk.answers] == [1, 2, 3]


def test_an_array_of_confirmations_confirms_nothing() -> None:
    talk = Talk()
    talk.subscribe(b"a")
    assert talk.it.hear(b"*3\r\n+ssubscribe\r\n+a\r\n:1\r\n")


def test_a_reply_that_never_ends_is_a_fault_at_its_bound() -> None:
    talk = Talk(max_reply_bytes=1000)
    talk.say("X")
    assert talk.it.hear(b"$100000\r\n" + b"x" * 500) is None
    assert talk.it.hear(b"x" * 500) == "a reply has more than 1000 bytes"


def test_half_a_reply_and_an_end_are_unknown() -> None:
    talk = Talk()
    talk.say("X")
    talk.say("Y")
    talk.it.hear(b"+OK\r\n$5\r\nhal")
    talk.it.end("the connection was closed")
    talk.it.end("again")
    assert talk.answers == [(1, b"OK"), (2, Unknown("the connection was closed"))]
    refused = talk.say("Z")
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message) == (AWAY, "the connection was closed")


def test_what_waits_is_bounded_in_bytes_and_what_is_urgent_has_room_beyond() -> None:
    talk = Talk(max_waiting_bytes=100)
    assert isinstance(talk.say("X", b"x" * 70), bytes)
    refused = talk.say("X", b"x" * 70)
    assert isinstance(refused, Refused)
    assert refused.code == BACKLOG
    assert isinstance(talk.say("X", b"x" * 70, urgent=True), bytes)
    assert isinstance(talk.say("X", b"x" * 70, urgent=True), Refused)
    talk.it.hear(b"+OK\r\n+OK\r\n")
    assert talk.it.waiting_bytes == 0
    assert isinstance(talk.say("X"), bytes)


def test_an_answer_may_say_the_next_command_or_end_it_all() -> None:
    said: list[object] = []
    it = Conversation(said.append, max_waiting_bytes=1000, max_reply_bytes=1000)

    def first(answer: object) -> None:
        said.append(answer)
        it.say(("B",), lambda _: it.end("enough"), 0.0)

    it.say(("A",), first, 0.0)
    it.say(("C",), said.append, 0.0)
    assert it.hear(b"+a\r\n+c\r\n+b\r\n+never read\r\n") is None
    assert said == [b"a", b"c"]
