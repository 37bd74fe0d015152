"""Reading RFC 6455, rule by rule. A clause number stands beside each group."""

import random

import pytest

from tests.masked import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    KEY,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_body,
    compress,
    frame,
)
from wsprism.protocol import CloseCode
from wsprism.protocol.frames import is_valid_close_code
from wsprism.protocol.websocket import CloseReceived, Event, FrameDecoder, Ping, Pong, Violation

MAX_BYTES = 1000
MOST_HELD_BYTES = MAX_BYTES + 14
"""A whole message but its last byte, with the longest header there is."""


def decode(*frames: bytes, max_bytes: int = MAX_BYTES, deflate: bool = False) -> list[Event]:
    return FrameDecoder(max_bytes, deflate=deflate).feed(b"".join(frames))


def code_of(events: list[Event]) -> CloseCode | None:
    """The code of the violation that ends the events, if one does."""
    assert all(type(event) is not Violation for event in events[:-1])
    last = events[-1] if events else None
    return last.code if isinstance(last, Violation) else None


# Masking, §5.1 and §5.3


def test_text_of_the_rfc_is_read() -> None:
    """§5.7: a single-frame masked text message."""
    assert decode(bytes.fromhex("818537fa213d7f9f4d5158")) == ["Hello"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65])
def test_every_length_is_unmasked(size: int) -> None:
    payload = bytes(range(size))
    assert decode(frame(FIN | BINARY, payload)) == [payload]


def test_what_stands_behind_a_short_message_is_no_part_of_it() -> None:
    for size in range(126):
        payload = bytes(range(size))
        whole = frame(FIN | BINARY, payload, key=b"\x80\x01\xff\x7f")
        assert decode(whole + whole) == [payload, payload]
        assert decode(whole + whole[:5]) == [payload]


@pytest.mark.parametrize("key", [bytes(4), b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"])
def test_every_key_is_good(key: bytes) -> None:
    assert decode(frame(FIN | BINARY, b"\x00\x00payload\x00\x00", key=key)) == [b"\x00\x00payload\x00\x00"]


@pytest.mark.parametrize("first", [FIN | TEXT, FIN | BINARY, FIN | PING, FIN | CLOSE])
def test_unmasked_frame_is_refused(first: int) -> None:
    assert code_of(decode(frame(first, key=None))) is CloseCode.PROTOCOL_ERROR


# Reserved bits and opcodes, §5.2


@pytest.mark.parametrize("bit", [RSV1, RSV2, RSV3])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_reserved_bit_is_refused(opcode: int, bit: int) -> None:
    assert code_of(decode(frame(FIN | bit | opcode))) is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF])
@pytest.mark.parametrize("deflate", [False, True])
def test_unknown_opcode_is_refused(opcode: int, deflate: bool) -> None:
    assert code_of(decode(frame(FIN | opcode), deflate=deflate)) is CloseCode.PROTOCOL_ERROR


# Length, §5.2


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_each_length_encoding_is_read(size: int) -> None:
    assert decode(frame(FIN | BINARY, b"x" * size), max_bytes=70000) == [b"x" * size]


@pytest.mark.parametrize(("size", "length_bytes"), [(0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)])
def test_length_must_be_encoded_in_the_fewest_bytes(size: int, length_bytes: int) -> None:
    overlong = frame(FIN | BINARY, b"x" * size, length_bytes=length_bytes)
    assert code_of(decode(overlong, max_bytes=70000)) is CloseCode.PROTOCOL_ERROR


def test_length_has_63_bits() -> None:
    head = bytes((FIN | BINARY, 0x80 | 127))
    assert code_of(decode(head + (2**63).to_bytes(8))) is CloseCode.PROTOCOL_ERROR
    assert code_of(decode(head + (2**63 - 1).to_bytes(8))) is CloseCode.TOO_BIG


# Fragmentation, §5.4


def test_fragments_make_one_message() -> None:
    parts = [frame(TEXT, b"Hel"), frame(CONTINUATION), frame(CONTINUATION, b"l"), frame(FIN | CONTINUATION, b"o")]
    assert decode(*parts) == ["Hello"]


def test_control_frames_may_stand_between_fragments() -> None:
    parts = [
        frame(BINARY, b"a"),
        frame(FIN | PING, b"1"),
        frame(CONTINUATION, b"b"),
        frame(FIN | PONG, b"2"),
        frame(FIN | CONTINUATION, b"c"),
        frame(FIN | TEXT, b"next"),
    ]
    assert decode(*parts) == [Ping(b"1"), Pong(b"2"), b"abc", "next"]


def test_close_between_fragments_ends_the_stream() -> None:
    parts = [frame(TEXT, b"a"), frame(FIN | CLOSE, close_body(1000)), frame(FIN | CONTINUATION, b"b")]
    assert decode(*parts) == [CloseReceived(1000, "")]


def test_empty_fragments_make_an_empty_message() -> None:
    assert decode(frame(TEXT), frame(FIN | CONTINUATION)) == [""]


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_message_has_no_more_fragments_than_its_size_is_worth(payload: bytes) -> None:
    most = 64 + MAX_BYTES // 16
    last = frame(FIN | CONTINUATION)
    assert decode(frame(BINARY, payload), frame(CONTINUATION, payload) * (most - 2), last) == [payload * (most - 1)]
    assert decode(frame(BINARY, payload), frame(CONTINUATION, payload) * (most - 1), last) == [
        Violation(CloseCode.TOO_BIG, "message in too many fragments")
    ]


@pytest.mark.parametrize("first", [FIN | PING, FIN | PONG])
def test_one_read_holds_so_many_control_frames_and_no_more(first: int) -> None:
    decoder = FrameDecoder(MAX_BYTES)
    for _ in range(3):
        assert len(decoder.feed(frame(first) * 128)) == 128
    assert decoder.feed(frame(first) * 40_000)[128:] == [Violation(CloseCode.RATE_LIMITED, "too many control frames")]


@pytest.mark.parametrize("first", [CONTINUATION, FIN | CONTINUATION])
def test_continuation_of_nothing_is_refused(first: int) -> None:
    assert code_of(decode(frame(first))) is CloseCode.PROTOCOL_ERROR
    assert code_of(decode(frame(FIN | TEXT), frame(first))) is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("first", [TEXT, BINARY, FIN | TEXT, FIN | BINARY])
def test_message_inside_a_message_is_refused(first: int) -> None:
    assert decode(frame(TEXT, b"a"), frame(first)) == [
        Violation(CloseCode.PROTOCOL_ERROR, "new message inside a fragmented one")
    ]


# Control frames, §5.5


@pytest.mark.parametrize("size", [0, 1, 125])
def test_ping_and_pong_carry_up_to_125_bytes(size: int) -> None:
    payload = b"p" * size
    assert decode(frame(FIN | PING, payload), frame(FIN | PONG, payload)) == [Ping(payload), Pong(payload)]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frame_above_125_bytes_is_refused_by_its_header(opcode: int) -> None:
    whole = frame(FIN | opcode, b"x" * 126)
    assert code_of(decode(whole[:2])) is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_fragmented_control_frame_is_refused(opcode: int) -> None:
    assert code_of(decode(frame(opcode))) is CloseCode.PROTOCOL_ERROR


def test_control_frame_may_be_larger_than_a_message_may() -> None:
    assert decode(frame(FIN | PING, b"12345"), max_bytes=2) == [Ping(b"12345")]


# Close, §5.5.1 and §7.4


def test_close_without_a_body() -> None:
    assert decode(frame(FIN | CLOSE)) == [CloseReceived(None, "")]


def test_close_with_code_and_reason() -> None:
    assert decode(frame(FIN | CLOSE, close_body(4000, "schönen Tag"))) == [CloseReceived(4000, "schönen Tag")]
    longest = "r" * 123
    assert decode(frame(FIN | CLOSE, close_body(1000, longest))) == [CloseReceived(1000, longest)]


def test_close_body_of_one_byte_is_refused() -> None:
    assert code_of(decode(frame(FIN | CLOSE, b"\x03"))) is CloseCode.PROTOCOL_ERROR


def test_every_close_code_is_judged() -> None:
    for code in range(0x10000):
        events = decode(frame(FIN | CLOSE, close_body(code)))
        if is_valid_close_code(code):
            assert events == [CloseReceived(code, "")]
        else:
            assert code_of(events) is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_reason_that_is_not_utf_8_is_refused(reason: bytes) -> None:
    assert code_of(decode(frame(FIN | CLOSE, close_body(1000) + reason))) is CloseCode.INVALID_DATA


def test_nothing_is_read_after_a_close() -> None:
    decoder = FrameDecoder(MAX_BYTES)
    assert len(decoder.feed(frame(FIN | CLOSE) + frame(FIN | TEXT, b"late"))) == 1
    assert decoder.feed(frame(FIN | TEXT, b"later")) == []
    assert decoder.buffered_bytes == 0


def test_nothing_is_read_after_a_violation() -> None:
    decoder = FrameDecoder(MAX_BYTES)
    events = decoder.feed(frame(FIN | TEXT, b"good") + frame(FIN | 0x3) + frame(FIN | TEXT, b"late"))
    assert events == ["good", Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode")]
    assert decoder.feed(frame(FIN | TEXT, b"later")) == []
    assert decoder.buffered_bytes == 0


# UTF-8, §5.6 and §8.1


@pytest.mark.parametrize("text", ["", "ascii", "κόσμε", "\U0001f600", "\x00", "\ufeff\uffff\U0010ffff"])
def test_text_is_decoded(text: str) -> None:
    assert decode(frame(FIN | TEXT, text.encode())) == [text]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff", id="no lead byte"),
        pytest.param(b"ok\xc3", id="cut off"),
        pytest.param(b"\xc0\xaf", id="overlong"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="above U+10FFFF"),
    ],
)
def test_text_that_is_not_utf_8_is_refused(payload: bytes) -> None:
    assert code_of(decode(frame(FIN | TEXT, payload))) is CloseCode.INVALID_DATA
    assert code_of(decode(frame(TEXT, payload), frame(FIN | CONTINUATION))) is CloseCode.INVALID_DATA
    assert decode(frame(FIN | BINARY, payload)) == [payload]


def test_character_may_be_split_over_fragments() -> None:
    encoded = "a\U0001f600b".encode()
    for cut in range(len(encoded) + 1):
        assert decode(frame(TEXT, encoded[:cut]), frame(FIN | CONTINUATION, encoded[cut:])) == ["a\U0001f600b"]


# The bound of a message


def test_message_of_the_largest_size_is_read() -> None:
    whole = b"x" * MAX_BYTES
    assert decode(frame(FIN | BINARY, whole)) == [whole]
    assert decode(frame(BINARY, whole[:400]), frame(FIN | CONTINUATION, whole[400:])) == [whole]


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 70000])
def test_larger_message_is_refused_by_its_header(size: int) -> None:
    whole = frame(FIN | TEXT, b"x" * size)
    head = len(whole) - size - len(KEY)
    assert code_of(decode(whole[:head])) is CloseCode.TOO_BIG
    assert decode(whole[: head - 1]) == []


def test_fragments_count_together() -> None:
    half = b"x" * 600
    assert code_of(decode(frame(BINARY, half), frame(FIN | CONTINUATION, half)[:4])) is CloseCode.TOO_BIG


def test_new_bound_holds_for_the_next_message() -> None:
    decoder = FrameDecoder(MAX_BYTES)
    decoder.limit(2)
    assert decoder.feed(frame(FIN | TEXT, b"ab")) == ["ab"]
    decoder.limit(3)
    assert decoder.feed(frame(FIN | TEXT, b"abc")) == ["abc"]
    assert code_of(decoder.feed(frame(FIN | TEXT, b"abcd"))) is CloseCode.TOO_BIG


@pytest.mark.parametrize("at", range(1, 17))
def test_message_that_has_begun_keeps_its_bound(at: int) -> None:
    stream = frame(TEXT, b"abc") + frame(FIN | CONTINUATION, b"de")
    assert at < len(stream)
    decoder = FrameDecoder(5)
    assert decoder.feed(stream[:at]) == []
    decoder.limit(2)
    assert decoder.feed(stream[at:]) == ["abcde"]
    assert code_of(decoder.feed(frame(FIN | TEXT, b"abc"))) is CloseCode.TOO_BIG


def test_control_frame_that_has_begun_does_not_keep_the_bound() -> None:
    decoder = FrameDecoder(5)
    ping = frame(FIN | PING, b"p")
    decoder.feed(ping[:3])
    decoder.limit(2)
    assert code_of(decoder.feed(ping[3:] + frame(FIN | TEXT, b"abc"))) is CloseCode.TOO_BIG


# Compression, RFC 7692 §7.2


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        pytest.param("f248cdc9c90700", "Hello", id="7.2.3.1 one block"),
        pytest.param("000500faff48656c6c6f00", "Hello", id="7.2.3.3 block without compression"),
        pytest.param("f348cdc9c9070000", "Hello", id="7.2.3.4 last block"),
        pytest.param("f248050000 00ffffcac9c90700", "Hello", id="7.2.3.5 two blocks"),
        pytest.param("00", "", id="7.2.3.6 empty"),
    ],
)
def test_compressed_messages_of_the_rfc_are_read(payload: str, text: str) -> None:
    assert decode(frame(FIN | RSV1 | TEXT, bytes.fromhex(payload)), deflate=True) == [text]


def test_only_the_first_frame_of_a_compressed_message_is_marked() -> None:
    compressed = compress(b"some text some text")
    parts = [frame(RSV1 | TEXT, compressed[:5]), frame(FIN | PING), frame(FIN | CONTINUATION, compressed[5:])]
    assert decode(*parts, deflate=True) == [Ping(b""), "some text some text"]
    marked = [frame(RSV1 | TEXT, compressed[:5]), frame(FIN | RSV1 | CONTINUATION, compressed[5:])]
    assert code_of(decode(*marked, deflate=True)) is CloseCode.PROTOCOL_ERROR


def test_message_may_be_sent_uncompressed() -> None:
    parts = [
        frame(FIN | TEXT, b"plain"),
        frame(FIN | RSV1 | BINARY, compress(b"packed")),
        frame(FIN | BINARY, b"plain"),
    ]
    assert decode(*parts, deflate=True) == ["plain", b"packed", b"plain"]


@pytest.mark.parametrize("first", [FIN | RSV1 | PING, FIN | RSV1 | CLOSE, FIN | RSV2 | TEXT, FIN | RSV3 | BINARY])
def test_other_reserved_bits_stay_refused_with_compression(first: int) -> None:
    assert code_of(decode(frame(first), deflate=True)) is CloseCode.PROTOCOL_ERROR


def test_inflation_is_bounded() -> None:
    assert decode(frame(FIN | RSV1 | BINARY, compress(bytes(MAX_BYTES))), deflate=True) == [bytes(MAX_BYTES)]
    for size in (MAX_BYTES + 1, 100 * MAX_BYTES):
        assert code_of(decode(frame(FIN | RSV1 | BINARY, compress(bytes(size))), deflate=True)) is CloseCode.TOO_BIG


def test_inflation_keeps_the_bound_that_the_message_began_with() -> None:
    decoder = FrameDecoder(MAX_BYTES, deflate=True)
    whole = frame(FIN | RSV1 | BINARY, compress(bytes(MAX_BYTES)))
    decoder.feed(whole[:5])
    decoder.limit(50)
    assert decoder.feed(whole[5:]) == [bytes(MAX_BYTES)]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff\xff\xff", id="no deflate data"),
        pytest.param(b"", id="not even an empty block"),
        pytest.param(compress(random.Random(1).randbytes(200))[:-50], id="cut off"),
        pytest.param(compress(b"text")[:-2], id="last bytes missing"),
        pytest.param(compress(b"text") + b"\x00\x00\xff\xff", id="end not taken off"),
        pytest.param(bytes.fromhex("f348cdc9c90700") + compress(b"more"), id="data behind the last block"),
    ],
)
def test_message_that_does_not_inflate_is_refused(payload: bytes) -> None:
    assert code_of(decode(frame(FIN | RSV1 | BINARY, payload), deflate=True)) is CloseCode.INVALID_DATA


def test_inflated_text_must_be_utf_8() -> None:
    assert code_of(decode(frame(FIN | RSV1 | TEXT, compress(b"\xff")), deflate=True)) is CloseCode.INVALID_DATA


# What it costs


class CountingDecoder(FrameDecoder):
    """Counts how often a frame's header is looked at."""

    headers_read = 0

    def _check_header(self, first: int, second: int) -> Violation | None:
        self.headers_read += 1
        return super()._check_header(first, second)


@pytest.mark.parametrize("size", [10, 1000, 60000])
def test_trickled_frame_costs_each_byte_once(size: int) -> None:
    """A frame that comes byte by byte is parsed while its header grows (14 bytes at most), then only at its end."""
    decoder = CountingDecoder(size)
    stream = frame(FIN | BINARY, b"x" * size)
    events = [event for byte in stream for event in decoder.feed(bytes((byte,)))]
    assert events == [b"x" * size]
    assert decoder.headers_read <= 14


def test_trickled_fragments_cost_each_byte_once() -> None:
    decoder = CountingDecoder(MAX_BYTES)
    stream = frame(BINARY, b"x") + frame(CONTINUATION, b"x") * 100 + frame(FIN | CONTINUATION, b"x")
    events = [event for byte in stream for event in decoder.feed(bytes((byte,)))]
    assert events == [b"x" * 102]
    assert decoder.headers_read <= 7 * 102


def test_idle_decoder_holds_nothing() -> None:
    decoder = FrameDecoder(MAX_BYTES)
    assert decoder.buffered_bytes == 0
    decoder.feed(frame(FIN | BINARY, bytes(MAX_BYTES))[:-1])
    assert decoder.buffered_bytes == MAX_BYTES + 7
    decoder.feed(b"x")
    assert decoder.buffered_bytes == 0


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 4096])
def test_memory_stays_within_a_message_and_its_header(chunk_bytes: int) -> None:
    decoder = FrameDecoder(MAX_BYTES)
    stream = b"".join(frame(0 if number else BINARY, b"x" * 99) + frame(FIN | PING, b"p" * 125) for number in range(10))
    stream += frame(FIN | CONTINUATION, b"x" * 10) + frame(FIN | BINARY, bytes(MAX_BYTES)) * 3
    most = 0
    for start in range(0, len(stream), chunk_bytes):
        assert code_of(decoder.feed(stream[start : start + chunk_bytes])) is None
        most = max(most, decoder.buffered_bytes)
    longest_control_frame = 2 + len(KEY) + 125
    assert most <= max(MOST_HELD_BYTES, 990 + longest_control_frame)


# UTF-8 in fragments, §8.1


@pytest.mark.parametrize(
    "fragments",
    [(b"a\xff",), (b"\xc3", b"("), (b"a", b"\xf4", b"\x90"), (b"\xe2\x82", b"")],
)
def test_text_that_cannot_become_utf8_fails_at_the_fragment_that_spoils_it(fragments: tuple[bytes, ...]) -> None:
    opcodes = [TEXT, *[CONTINUATION] * len(fragments)]
    frames = [frame(opcode, payload) for opcode, payload in zip(opcodes, fragments, strict=False)]
    spoilt = fragments[-1] != b""
    assert code_of(decode(*frames)) == (CloseCode.INVALID_DATA if spoilt else None)
    assert code_of(decode(*frames, frame(FIN | CONTINUATION, b"x"))) == CloseCode.INVALID_DATA


def test_a_character_may_be_cut_by_fragments_and_binary_is_not_looked_at() -> None:
    euro = "\u20ac".encode()
    assert decode(frame(TEXT, euro[:1]), frame(FIN | CONTINUATION, euro[1:])) == ["\u20ac"]
    assert decode(frame(BINARY, b"\xff"), frame(FIN | CONTINUATION, b"\xfe")) == [b"\xff\xfe"]
