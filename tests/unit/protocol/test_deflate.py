"""permessage-deflate: which offers are accepted (RFC 7692 §7.1), and what a compressed message looks like (§7.2.1)."""

import zlib

import pytest

from wsprism.protocol.deflate import DEFLATE_RESPONSE, accepts_deflate, deflate


@pytest.mark.parametrize(
    "extensions",
    [
        "permessage-deflate",
        " permessage-deflate ; client_max_window_bits ",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; client_max_window_bits = 15",
        'permessage-deflate; client_max_window_bits="10"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
    ],
)
def test_offer_is_accepted(extensions: str) -> None:
    assert accepts_deflate(extensions)


@pytest.mark.parametrize(
    "extensions",
    [
        "",
        ",",
        "permessage-bzip2",
        "x-permessage-deflate",
        "permessage-deflate;",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=11",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=ten",
        'permessage-deflate; client_max_window_bits=""',
        'permessage-deflate; client_max_window_bits="10',
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
    ],
)
def test_offer_is_declined(extensions: str) -> None:
    assert not accepts_deflate(extensions)


def test_answer_promises_that_no_context_survives_a_message() -> None:
    name, *parameters = DEFLATE_RESPONSE.split("; ")
    assert name == "permessage-deflate"
    assert parameters == ["server_no_context_takeover", "client_no_context_takeover"]


@pytest.mark.parametrize("payload", [b"", b"Hello", b"a" * 100_000, bytes(range(256)) * 300])
def test_compressed_message_inflates_by_itself(payload: bytes) -> None:
    compressed = deflate(payload)
    assert not compressed.endswith(b"\x00\x00\xff\xff")
    assert zlib.decompressobj(-15).decompress(compressed + b"\x00\x00\xff\xff") == payload


def test_empty_message_is_one_byte() -> None:
    """RFC 7692 §7.2.3.6."""
    assert deflate(b"") == b"\x00"


def test_text_of_the_rfc() -> None:
    """RFC 7692 §7.2.3.1."""
    assert deflate(b"Hello").hex() == "f248cdc9c90700"


def test_an_independent_client_accepts_the_answer_and_reads_the_message() -> None:
    extension = pytest.importorskip("websockets.extensions.permessage_deflate")
    frames = pytest.importorskip("websockets.frames")
    factory = extension.ClientPerMessageDeflateFactory()
    parameters = [(name, None) for name in DEFLATE_RESPONSE.split("; ")[1:]]
    client = factory.process_response_params(parameters, [])
    for payload in (b"one one one one", b"two" * 500):
        received = frames.Frame(frames.Opcode.TEXT, deflate(payload), rsv1=True)
        assert bytes(client.decode(received).data) == payload
