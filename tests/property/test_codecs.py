"""Every decoder answers arbitrary input with a value, and what one side encodes the other side reads back."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from wsprism.protocol import (
    JSON,
    MSGPACK,
    DataFault,
    Envelope,
    EnvelopeFault,
    Framing,
    HandshakeFault,
    HandshakeRequest,
    HotFault,
    HotFrame,
    close_frame,
    decode_delivery,
    decode_hot,
    encode_hot,
    is_name,
    is_room_name,
    parse_handshake,
    parse_traceparent,
    with_sender,
)

text = st.text(max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
names = st.text("azAZ09_.-", min_size=1, max_size=64)
rooms = st.text(min_size=1, max_size=128).filter(is_room_name)
envelopes = st.fixed_dictionaries(
    {"v": st.just(1), "svc": names, "type": names},
    optional={
        "flags": st.integers(0, 2**32 - 1),
        "seq": st.integers(0, 2**53 - 1),
        "room": rooms,
        "trace": text,
        "data": data,
    },
)
anything = st.recursive(
    scalars | st.floats() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | st.integers(-5, 5), inner, max_size=4),
    max_leaves=8,
)
almost = st.fixed_dictionaries(
    {},
    optional={
        name: st.just(1) | names | anything for name in ("v", "svc", "type", "flags", "seq", "room", "trace", "data")
    },
)
framings = st.sampled_from(Framing)
headers = st.dictionaries(
    st.sampled_from(["Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Authorization"])
    | text,
    st.sampled_from(["websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "Bearer x"]) | text,
)


class Chat(msgspec.Struct):
    msg: str


@given(envelopes)
def test_envelope_survives_both_codecs(message: dict[str, object]) -> None:
    for codec in (JSON, MSGPACK):
        decoded = codec.decode(codec.encode(message))
        assert isinstance(decoded, Envelope)
        read = {name: getattr(decoded, name) for name in message if name != "data"}
        if "data" in message:
            read["data"] = codec.decode_data(decoded.data)
        assert read == message


@given(envelopes)
def test_json_text_written_elsewhere_is_read_alike(message: dict[str, object]) -> None:
    escaped, plain = JSON.decode(json.dumps(message)), JSON.decode(json.dumps(message, ensure_ascii=False))
    assert isinstance(escaped, Envelope)
    assert isinstance(plain, Envelope)
    assert JSON.decode_data(escaped.data) == JSON.decode_data(plain.data) == message.get("data")


@given(st.binary(max_size=200) | st.text(st.characters(), max_size=100))
def test_arbitrary_input_gives_an_envelope_or_a_fault(payload: str | bytes) -> None:
    for codec in (JSON, MSGPACK):
        assert isinstance(codec.decode(payload), Envelope | EnvelopeFault)


@given(almost)
def test_what_is_almost_an_envelope_keeps_every_rule(message: dict[str, object]) -> None:
    decoded = MSGPACK.decode(msgspec.msgpack.encode(message))
    if isinstance(decoded, EnvelopeFault):
        assert decoded.seq is None or decoded.seq == message["seq"]
        return
    assert decoded.v == 1
    assert is_name(decoded.svc)
    assert is_name(decoded.type)
    assert decoded.room is None or is_room_name(decoded.room)
    assert not isinstance(MSGPACK.decode_data(decoded.data), DataFault)
    json.dumps(MSGPACK.decode_data(decoded.data), allow_nan=False)


@given(st.binary(max_size=60), st.data())
def test_damaged_messages_never_raise(noise: bytes, draw: st.DataObject) -> None:
    message = draw.draw(envelopes)
    for codec in (JSON, MSGPACK):
        payload = codec.encode(message)
        at = draw.draw(st.integers(0, len(payload)))
        damaged = payload[:at] + noise + payload[at + draw.draw(st.integers(0, 5)) :]
        decoded = codec.decode(damaged)
        if isinstance(decoded, Envelope):
            codec.decode_data(decoded.data)
            codec.decode_data(decoded.data, Chat)


@given(st.binary(max_size=60))
def test_arbitrary_raw_data_gives_a_value_or_a_fault(raw: bytes) -> None:
    for codec in (JSON, MSGPACK):
        value = codec.decode_data(msgspec.Raw(raw))
        assert isinstance(codec.decode_data(msgspec.Raw(raw), Chat), Chat | DataFault)
        if not isinstance(value, DataFault):
            assert JSON.encode(value)
            assert MSGPACK.encode(value)


@given(st.binary(max_size=40), framings)
def test_arbitrary_bytes_give_a_hot_frame_or_a_fault(raw: bytes, framing: Framing) -> None:
    assert isinstance(decode_delivery(raw, framing), HotFrame | HotFault)
    frame = decode_hot(raw, framing)
    if isinstance(frame, HotFrame):
        assert raw == encode_hot(
            frame.service_id,
            frame.opcode,
            bytes(frame.payload),
            flags=frame.flags,
            seq=frame.seq,
            room=frame.room,
            framing=framing,
        )


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=40),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 2**32 - 1),
    framings,
    st.text(max_size=60),
)
def test_hot_frame_survives_with_its_sender(
    service_id: int, opcode: int, payload: bytes, seq: int | None, room: int | None, framing: Framing, user: str
) -> None:
    frame = decode_hot(encode_hot(service_id, opcode, payload, seq=seq, room=room, framing=framing), framing)
    assert isinstance(frame, HotFrame)
    received = decode_delivery(with_sender(frame, user), framing)
    assert isinstance(received, HotFrame)
    assert (received.service_id, received.opcode, received.seq, received.room) == (service_id, opcode, seq, room)
    assert (bytes(received.payload), received.sender) == (payload, user)


@given(st.integers(3000, 4999) | st.sampled_from([1000, 1001, 1011]), st.text())
def test_close_reason_is_cut_but_stays_utf8(code: int, reason: str) -> None:
    frame = close_frame(code, reason)
    assert len(frame) == 2 + frame[1] <= 127
    assert reason.startswith(frame[4:].decode())


@given(headers, st.dictionaries(st.sampled_from(["tenant", "ticket", "sid"]), text), st.sampled_from(["GET", "POST"]))
def test_arbitrary_handshake_gives_a_request_or_a_fault(
    fields: dict[str, str], query: dict[str, str], method: str
) -> None:
    assert isinstance(parse_handshake(method, fields, query), HandshakeRequest | HandshakeFault)


@given(text)
def test_arbitrary_traceparent_never_raises(value: str) -> None:
    assert parse_traceparent(value) is None
