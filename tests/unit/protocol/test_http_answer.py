"""Answers over HTTP/1.1, in pieces of any size; what can be understood in two ways is a fault."""

from __future__ import annotations

import pytest

from wsprism.protocol.http_answer import MAX_HEAD_BYTES, AnswerFault, AnswerReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n" + b'{"effects":[]}'
CHUNKED = (
    b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b'a;why="no"\r\n{"effects"\r\n4\r\n:[]}\r\n0\r\nTrailer: x\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + LENGTH
BODILESS = b"HTTP/1.1 204 No Content\r\nContent-Length: 14\r\n\r\n"
WITHOUT_REASON = b"HTTP/1.1 400\r\nConnection: keep-alive, close\r\ncontent-length:0\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
OLD_KEPT = b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
WHOLE = b'{"effects":[]}'


def read(*pieces: bytes, max_bytes: int = 100) -> AnswerReader:
    reader = AnswerReader(max_bytes)
    for piece in pieces:
        assert not reader.done
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
@pytest.mark.parametrize(
    ("raw", "status", "body", "keeps_alive"),
    [
        (LENGTH, 200, WHOLE, True),
        (CHUNKED, 503, WHOLE, True),
        (INTERIM, 200, WHOLE, True),
        (BODILESS, 204, b"", True),
        (WITHOUT_REASON, 400, b"", False),
        (OLD, 200, b"", False),
        (OLD_KEPT, 200, b"", True),
        (CLOSED, 200, b"", False),
    ],
)
def test_an_answer_is_the_same_in_pieces_of_any_size(
    raw: bytes, status: int, body: bytes, keeps_alive: bool, step: int
) -> None:
    reader = read(*(raw[at : at + step] for at in range(0, len(raw), step)))
    assert reader.done
    assert (reader.status, reader.body, reader.keeps_alive) == (status, body, keeps_alive)
    assert reader.retry_after == ("7" if raw is CHUNKED else None)


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED])
def test_what_follows_an_answer_ends_the_use_of_its_connection(raw: bytes) -> None:
    reader = read(raw + b"HTTP/1.1 200 OK\r\n")
    assert reader.done
    assert reader.body == WHOLE
    assert not reader.keeps_alive


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\n", b'{"effects"', b":[]}")
    assert not reader.done
    assert reader.end()
    assert (reader.body, reader.keeps_alive) == (WHOLE, False)


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED])
def test_an_answer_that_breaks_off_is_none(raw: bytes) -> None:
    for size in range(len(raw)):
        assert not read(raw[:size]).end()
    assert not AnswerReader(100).began
    assert read(raw[:1]).began


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    ],
)
def test_what_can_be_understood_in_two_ways_is_a_fault(raw: bytes) -> None:
    with pytest.raises(AnswerFault):
        read(raw)
    with pytest.raises(AnswerFault):
        read(*(raw[at : at + 1] for at in range(len(raw))))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n64\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 20),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 4),
    ],
)
def test_nothing_of_an_answer_is_without_a_bound(raw: bytes) -> None:
    with pytest.raises(AnswerFault):
        read(raw)
