"""Any way of cutting a stream gives the same events, nothing makes the decoder raise, and memory stays bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.masked import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, close_body, compress, frame
from wsprism.protocol.deflate import accepts_deflate, deflate
from wsprism.protocol.frames import is_valid_close_code
from wsprism.protocol.websocket import CloseReceived, Event, FrameDecoder, Ping, Pong, Violation

MAX_BYTES = 400
LONGEST_CONTROL_FRAME = 131

Script = tuple[bytes, list[Event]]
"""A stream, and the events it must give."""

keys = st.binary(min_size=4, max_size=4)
controls: st.SearchStrategy[Ping | Pong] = st.builds(Ping, st.binary(max_size=125)) | st.builds(
    Pong, st.binary(max_size=125)
)
messages: st.SearchStrategy[str | bytes] = st.text(max_size=100) | st.binary(max_size=MAX_BYTES)
closes = st.builds(CloseReceived, st.integers(1000, 4999).filter(is_valid_close_code), st.text(max_size=30)) | st.just(
    CloseReceived(None, "")
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data, cut at these places (each taken modulo its length)."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)] or [b""]


def control_frame(event: Ping | Pong, key: bytes) -> bytes:
    return frame(FIN | (PING if isinstance(event, Ping) else PONG), event.payload, key=key)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """What a correct client with compression might send: fragments, controls between them, maybe a Close at the end."""
    stream = bytearray()
    events: list[Event] = []
    for message in draw(st.lists(messages, max_size=4)):
        payload = message.encode() if isinstance(message, str) else message
        compressed = draw(st.booleans()) and len(compress(payload)) <= MAX_BYTES
        parts = pieces(compress(payload) if compressed else payload, draw(st.lists(st.integers(0), max_size=3)))
        for number, part in enumerate(parts):
            for event in draw(st.lists(controls, max_size=1)):
                stream += control_frame(event, draw(keys))
                events.append(event)
            first = CONTINUATION if number else TEXT if isinstance(message, str) else BINARY
            first |= RSV1 if compressed and not number else 0
            first |= FIN if number == len(parts) - 1 else 0
            stream += frame(first, part, key=draw(keys))
        events.append(message)
    for close in draw(st.lists(closes, max_size=1)):
        body = b"" if close.code is None else close_body(close.code, close.reason)
        stream += frame(FIN | CLOSE, body, key=draw(keys)) + draw(st.binary(max_size=5))
        events.append(close)
    return bytes(stream), events


almost_frames = st.lists(
    st.builds(
        frame,
        st.sampled_from([FIN, 0, FIN | RSV1, RSV1]).flatmap(lambda bits: st.integers(0, 15).map(bits.__or__)),
        st.binary(max_size=140) | st.binary(max_size=50).map(compress),
        key=keys,
    ),
    max_size=8,
).map(b"".join)


def feed(stream: bytes, cuts: list[int], *, deflate: bool = True) -> list[Event]:
    """Feed the stream in pieces, watching that the decoder never holds more than it may."""
    decoder = FrameDecoder(MAX_BYTES, deflate=deflate)
    events: list[Event] = []
    for piece in pieces(stream, cuts):
        events += decoder.feed(piece)
        assert decoder.buffered_bytes < MAX_BYTES + LONGEST_CONTROL_FRAME
    return events


cuts = st.lists(st.integers(0), max_size=20)


@given(scripts(), cuts)
def test_what_a_correct_client_sends_is_read_however_it_is_cut(script: Script, cuts: list[int]) -> None:
    stream, events = script
    assert feed(stream, []) == events
    assert feed(stream, cuts) == events
    assert feed(stream, list(range(len(stream)))) == events


@given(st.binary(max_size=300) | almost_frames, st.booleans(), cuts)
@example(b"\x81", False, [])
def test_any_bytes_are_answered_with_events_however_they_are_cut(stream: bytes, deflate: bool, cuts: list[int]) -> None:
    events = feed(stream, [], deflate=deflate)
    assert all(isinstance(event, Event) for event in events)
    assert not any(isinstance(event, Violation | CloseReceived) for event in events[:-1])
    assert all(len(event) <= MAX_BYTES for event in events if isinstance(event, str | bytes))
    assert feed(stream, cuts, deflate=deflate) == events
    assert feed(stream, list(range(len(stream))), deflate=deflate) == events


@given(st.text(max_size=200) | st.binary(max_size=MAX_BYTES), st.booleans())
def test_frames_of_an_independent_encoder_are_read(message: str | bytes, compressed: bool) -> None:
    frames = pytest.importorskip("websockets.frames")
    extension = pytest.importorskip("websockets.extensions.permessage_deflate")
    extensions = [extension.PerMessageDeflate(True, True, 15, 15)] if compressed else []
    opcode = frames.Opcode.TEXT if isinstance(message, str) else frames.Opcode.BINARY
    payload = message.encode() if isinstance(message, str) else message
    encoded = frames.Frame(opcode, payload).serialize(mask=True, extensions=extensions)
    assert FrameDecoder(2 * MAX_BYTES, deflate=compressed).feed(encoded) == [message]


@given(st.binary(max_size=2000))
def test_what_is_deflated_inflates(payload: bytes) -> None:
    decoder = FrameDecoder(3000, deflate=True)
    assert decoder.feed(frame(FIN | RSV1 | BINARY, deflate(payload))) == [payload]


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["permessage-deflate", "client_max_window_bits", *'=;,"9 '])).map("".join)
)
def test_any_offer_is_answered(extensions: str) -> None:
    assert accepts_deflate(extensions) in (True, False)
