"""Runs every vector of tests/vectors: one case per rule of the wire protocol, readable by other implementations too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict, MultiDict

from wsprism.protocol import (
    JSON,
    MSGPACK,
    CloseCode,
    Codec,
    DataFault,
    Envelope,
    EnvelopeFault,
    ErrorCode,
    Framing,
    HandshakeFault,
    HandshakeRequest,
    HotFault,
    HotFrame,
    TraceParent,
    binary_frame,
    close_frame,
    decode_delivery,
    decode_hot,
    encode_hot,
    is_valid_close_code,
    may_reconnect,
    parse_handshake,
    parse_traceparent,
    ping_frame,
    pong_frame,
    sysmsg,
    text_frame,
    with_room,
    with_sender,
)
from wsprism.protocol.handshake import negotiate

Vector = dict[str, Any]
VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str, *having: str) -> list[Any]:
    """The vectors of a file that have all of these keys, as test parameters named by the vector."""
    vectors: list[Vector] = json.loads((VECTORS / f"{name}.json").read_text())
    return [
        pytest.param(vector, id=str(vector.get("name", position))[:60])
        for position, vector in enumerate(vectors)
        if all(key in vector for key in having)
    ]


def envelope_inputs(vector: Vector) -> list[tuple[Codec, str | bytes]]:
    """Every codec that the vector is about, with the payload."""
    named: Codec = MSGPACK if vector.get("codec") == "msgpack" else JSON
    if "hex" in vector:
        return [(named, bytes.fromhex(vector["hex"]))]
    if "text" in vector:
        return [(named, vector["text"])]
    message = vector["message"]
    text = json.dumps(message)
    return [
        (JSON, text),
        (JSON, json.dumps(message, ensure_ascii=False, indent=1).encode()),
        (MSGPACK, msgspec.msgpack.encode(message)),
    ]


@pytest.mark.parametrize("vector", load("envelope", "envelope"))
def test_envelope_is_read_alike_by_every_codec(vector: Vector) -> None:
    for codec, payload in envelope_inputs(vector):
        decoded = codec.decode(payload)
        assert isinstance(decoded, Envelope)
        assert {name: getattr(decoded, name) for name in vector["envelope"]} == vector["envelope"]
        assert (decoded.data is not None) == ("data" in vector)
        assert codec.decode_data(decoded.data) == vector.get("data")


@pytest.mark.parametrize("vector", load("envelope", "fault"))
def test_faulty_message_is_refused_with_its_code_and_seq(vector: Vector) -> None:
    for codec, payload in envelope_inputs(vector):
        fault = codec.decode(payload)
        assert isinstance(fault, EnvelopeFault)
        assert (fault.code, fault.seq) == (vector["fault"], vector["seq"])
        assert fault.msg
        assert fault.msg == vector.get("msg", fault.msg)


@pytest.mark.parametrize("vector", load("envelope", "data_fault"))
def test_numbers_out_of_range_are_refused_when_data_is_read(vector: Vector) -> None:
    for codec, payload in envelope_inputs(vector):
        decoded = codec.decode(payload)
        assert isinstance(decoded, Envelope)
        assert isinstance(codec.decode_data(decoded.data), DataFault)


@pytest.mark.parametrize("vector", load("hot", "frame"))
def test_hot_frame_is_read_and_written(vector: Vector) -> None:
    raw, framing, expected = bytes.fromhex(vector["hex"]), Framing(vector["framing"]), vector["frame"]
    frame = decode_hot(raw, framing)
    assert isinstance(frame, HotFrame)
    assert frame.raw is raw
    assert decode_delivery(raw, framing) == frame
    payload = bytes.fromhex(expected.pop("payload"))
    assert frame.payload == payload
    assert {name: getattr(frame, name) for name in expected} == expected
    assert encode_hot(payload=payload, framing=framing, **expected) == raw


@pytest.mark.parametrize("vector", load("hot", "fault"))
def test_faulty_hot_frame_is_refused_with_its_reason(vector: Vector) -> None:
    assert decode_hot(bytes.fromhex(vector["hex"]), Framing(vector["framing"])) == HotFault(vector["fault"])


@pytest.mark.parametrize("vector", load("hot", "delivered"))
def test_sender_stands_before_the_payload(vector: Vector) -> None:
    framing = Framing(vector["framing"])
    frame = decode_hot(bytes.fromhex(vector["hex"]), framing)
    assert isinstance(frame, HotFrame)
    delivered = with_sender(frame, vector["sender"])
    assert delivered.hex() == vector["delivered"]
    received = decode_delivery(delivered, framing)
    assert isinstance(received, HotFrame)
    assert (received.sender, received.payload) == (vector["sender"], frame.payload)
    assert (received.seq, received.room) == (frame.seq, frame.room)


@pytest.mark.parametrize("vector", load("hot", "renumbered"))
def test_a_room_number_stands_behind_the_seq(vector: Vector) -> None:
    framing = Framing(vector["framing"])
    frame = decode_hot(bytes.fromhex(vector["hex"]), framing)
    assert isinstance(frame, HotFrame)
    made = with_room(frame, vector["room"])
    assert made.raw.hex() == vector["renumbered"]
    assert made == decode_hot(made.raw, framing)
    assert made.payload == frame.payload
    assert with_room(made, vector["room"]) is made


@pytest.mark.parametrize("vector", load("hot", "delivery_fault"))
def test_faulty_delivery_is_refused(vector: Vector) -> None:
    assert isinstance(decode_delivery(bytes.fromhex(vector["hex"]), Framing(vector["framing"])), HotFault)


@pytest.mark.parametrize("vector", load("sysmsg"))
def test_gateway_message_has_its_fields_in_order(vector: Vector) -> None:
    arguments = vector["arguments"]
    if "code" in arguments:
        arguments["code"] = ErrorCode(arguments["code"])
    if vector["call"] == "pong" and arguments["data"] is not None:
        arguments["data"] = msgspec.Raw(arguments["data"].encode())
    assert JSON.encode(getattr(sysmsg, vector["call"])(**arguments)).decode() == vector["text"]


FRAMES: dict[str, Callable[..., bytes]] = {
    "text": text_frame,
    "binary": binary_frame,
    "ping": ping_frame,
    "pong": pong_frame,
    "close": close_frame,
}


@pytest.mark.parametrize("vector", load("frames", "zeros"))
def test_length_has_7_16_or_64_bits(vector: Vector) -> None:
    payload = bytes(vector["zeros"])
    assert FRAMES[vector["call"]](payload) == bytes.fromhex(vector["header"]) + payload


@pytest.mark.parametrize("vector", load("frames", "hex"))
def test_server_frame_has_these_bytes(vector: Vector) -> None:
    arguments = vector["arguments"]
    if "payload" in arguments:
        arguments["payload"] = bytes.fromhex(arguments["payload"])
    assert FRAMES[vector["call"]](**arguments).hex() == vector["hex"]


@pytest.mark.parametrize("vector", load("codes", "valid"))
def test_close_code_may_or_may_not_be_on_the_wire(vector: Vector) -> None:
    assert is_valid_close_code(vector["code"]) is vector["valid"]


@pytest.mark.parametrize("vector", load("codes", "reconnect"))
def test_close_code_says_whether_to_reconnect(vector: Vector) -> None:
    assert may_reconnect(vector["code"]) is vector["reconnect"]


def test_close_and_error_codes_are_exactly_the_published_ones() -> None:
    assert {code.name: int(code) for code in CloseCode} == {
        item.values[0]["name"]: item.values[0]["code"] for item in load("codes", "name")
    }
    assert [code.value for code in ErrorCode] == [item.values[0]["error"] for item in load("codes", "error")]


@pytest.mark.parametrize("vector", load("handshake", "request"))
def test_handshake_is_read(vector: Vector) -> None:
    request = parse_handshake(vector["method"], CIMultiDict(vector["headers"]), MultiDict(vector["query"]))
    assert isinstance(request, HandshakeRequest)
    expected = vector["request"]
    narrowed = expected.pop("without_msgpack", expected["subprotocol"])
    assert {name: getattr(request, name) for name in expected} == expected
    assert negotiate(request.subprotocols, allow_msgpack=True) == expected["subprotocol"]
    assert negotiate(request.subprotocols, allow_msgpack=False) == narrowed
    assert (request.traceparent is not None) == vector.get("traced", False)


@pytest.mark.parametrize("vector", load("handshake", "status"))
def test_handshake_is_refused_with_its_status(vector: Vector) -> None:
    fault = parse_handshake(vector["method"], CIMultiDict(vector["headers"]), MultiDict(vector["query"]))
    assert isinstance(fault, HandshakeFault)
    assert fault.status == vector["status"]
    assert fault.msg
    if "answer" in vector:
        assert tuple(vector["answer"]) in fault.headers


@pytest.mark.parametrize("vector", load("trace"))
def test_traceparent_is_read_or_ignored(vector: Vector) -> None:
    expected = None if "malformed" in vector else TraceParent(vector["trace_id"], vector["span_id"], vector["sampled"])
    assert parse_traceparent(vector["text"]) == expected
