"""Signatures of Standard Webhooks, against the specification's own example."""

from __future__ import annotations

import base64

import pytest

from wsprism.protocol.standard_webhooks import parse_secret, signature_headers


def test_the_published_example_has_the_published_signature() -> None:
    key = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert key is not None
    headers = signature_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_every_part_is_signed() -> None:
    def signature(key: bytes = b"k", message_id: str = "m", timestamp_s: int = 1, body: bytes = b"b") -> str:
        return signature_headers(key, message_id, timestamp_s, body)["webhook-signature"]

    signatures = {
        signature(),
        signature(key=b"x"),
        signature(message_id="x"),
        signature(timestamp_s=2),
        signature(body=b"x"),
    }
    assert len(signatures) == 5


def test_a_secret_is_the_base64_after_its_prefix() -> None:
    assert parse_secret("whsec_" + base64.b64encode(b"x" * 24).decode()) == b"x" * 24


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_x", "whsec_ä", "whsec_c2Vj cmV0", "c2VjcmV0", "WHSEC_c2VjcmV0"])
def test_anything_else_is_no_secret(text: str) -> None:
    assert parse_secret(text) is None
