"""Messages are counted and stamps read wherever reads cut the stream."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.client_frames import binary_frame, close_frame, text_frame, upgrade_request
from load.counting import (
    CARRY,
    MARK,
    PAYLOAD_BYTES,
    PLACEHOLDER,
    Receiver,
    Tally,
    plain_payload,
    sampled_payload,
    stamp,
)


def _feed(receiver: Receiver, chunks: list[bytes], now_us: int) -> None:
    buffer = bytearray(CARRY + 4096)
    for chunk in chunks:
        receiver.prepare(buffer)
        buffer[CARRY : CARRY + len(chunk)] = chunk
        receiver.take(buffer, len(chunk), now_us)


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges) if b > a]


def test_payloads_have_one_size_and_one_mark() -> None:
    assert len(plain_payload()) == len(sampled_payload()) == PAYLOAD_BYTES
    assert plain_payload().count(MARK) == sampled_payload().count(MARK) == 1
    assert sampled_payload().count(PLACEHOLDER) == 1
    assert len(stamp(12_345)) == len(PLACEHOLDER)


@given(st.lists(st.booleans(), max_size=20), st.lists(st.integers(0, 5000), max_size=60))
def test_every_message_is_counted_once_and_every_stamp_read_once_however_reads_cut(
    sampled: list[bool], places: list[int]
) -> None:
    filled = sampled_payload().replace(PLACEHOLDER, stamp(1_000))
    stream = b"".join(b"\x82\x40" + (filled if one else plain_payload()) for one in sampled)
    tally = Tally()
    tally.window(0, 2_000)
    _feed(Receiver(tally), _cut(stream, places), now_us=1_250)
    assert tally.received == len(sampled)
    assert list(tally.latencies_us) == [250] * sum(sampled)
    assert tally.bytes == len(stream)


def test_connections_that_share_a_buffer_do_not_see_each_others_bytes() -> None:
    tally = Tally()
    first, second = Receiver(tally), Receiver(tally)
    buffer = bytearray(CARRY + 4096)
    for receiver, chunk in ((first, MARK[:8]), (second, MARK[8:]), (first, MARK[8:]), (second, MARK[:8])):
        receiver.prepare(buffer)
        buffer[CARRY : CARRY + len(chunk)] = chunk
        receiver.take(buffer, len(chunk), 0)
    assert tally.received == 1


@pytest.mark.parametrize(("meant_us", "recorded"), [(99, 0), (100, 1), (199, 1), (200, 0)])
def test_only_messages_meant_for_the_window_give_latencies(meant_us: int, recorded: int) -> None:
    tally = Tally()
    tally.window(100, 200)
    _feed(Receiver(tally), [sampled_payload().replace(PLACEHOLDER, stamp(meant_us))], now_us=500)
    assert len(tally.latencies_us) == recorded
    assert tally.received == 1


@pytest.mark.parametrize(("size", "head"), [(5, b"\x81\x85"), (300, b"\x81\xfe\x01\x2c"), (70_000, b"\x81\xff")])
def test_client_frames_are_masked_with_zero(size: int, head: bytes) -> None:
    frame = text_frame(b"x" * size)
    assert frame.startswith(head)
    assert frame.endswith(bytes(4) + b"x" * size)


def test_binary_and_close_frames_have_their_opcodes() -> None:
    assert binary_frame(b"a") == b"\x82\x81\0\0\0\0a"
    assert close_frame(1000) == b"\x88\x82\0\0\0\0\x03\xe8"


def test_the_upgrade_request_ends_with_an_empty_line_and_carries_further_headers() -> None:
    request = upgrade_request("/v1/ws?tenant=a", "127.0.0.1:1", {"Authorization": "Bearer t"})
    assert request.startswith(b"GET /v1/ws?tenant=a HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert request.endswith(b"\r\nAuthorization: Bearer t\r\n\r\n")
