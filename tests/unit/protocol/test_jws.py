"""Signed tokens: every algorithm, and every way in which a token is not one."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from tests.keys import SECRET, signing_key, token
from wsprism.protocol.jwk import SIGNATURES, VerificationKey
from wsprism.protocol.jws import parse_token, verified_claims


def public_key(algorithm: str, name: str = "a") -> VerificationKey:
    key = signing_key(algorithm, name)
    verification: VerificationKey = key.encode() if isinstance(key, str) else key.public_key()
    return verification


def verify(text: str, key: VerificationKey) -> dict[str, Any] | None:
    parsed = parse_token(text)
    assert parsed is not None
    return verified_claims(parsed, key)


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", sorted(SIGNATURES))
def test_every_algorithm_verifies_its_own_signature_and_no_other(algorithm: str) -> None:
    text = token(algorithm, sub="ann")
    assert verify(text, public_key(algorithm)) == {"sub": "ann"}
    assert verify(text, public_key(algorithm, "b")) is None
    head, payload, signature = text.split(".")
    assert verify(f"{head}.{segment({'sub': 'root'})}.{signature}", public_key(algorithm)) is None
    assert verify(f"{head}.{payload}.{segment(b'x' * 64)}", public_key(algorithm)) is None
    assert verify(f"{head}.{payload}.", public_key(algorithm)) is None


def test_the_header_is_read_and_not_believed() -> None:
    parsed = parse_token(token("ES256", headers={"kid": "k", "jku": "https://evil.example"}, sub="ann"))
    assert parsed is not None
    assert (parsed.algorithm, parsed.key_id) == ("ES256", "k")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dev",
        "a.b",
        "..",
        "a.b.c.d",
        segment({"alg": "HS256"}) + ".e30",
        segment({"alg": "HS256"}) + ".e30.AA=",
        segment({"alg": "HS256"}) + ".e30.A B",
        segment({"alg": "HS256"}) + ".e30.AB",
        segment({"alg": "HS256"}) + "\n.e30.AA",
        segment({"kid": "k"}) + ".e30.AA",
        segment({"alg": 5}) + ".e30.AA",
        segment({"alg": "HS256", "kid": 5}) + ".e30.AA",
        segment({"alg": "HS256", "crit": ["b64"], "b64": False}) + ".e30.AA",
        segment({"alg": "HS256", "crit": None}) + ".e30.AA",
        segment(b"[" * 9000) + ".e30.AA",
        segment(b'{"alg":"HS256","x":' + b"[" * 9000 + b"]" * 9000 + b"}") + ".e30.AA",
        segment(b"\xff") + ".e30.AA",
        segment([]) + ".e30.AA",
        "\ud800.e30.AA",
        "ä.ö.ü",
    ],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert parse_token(text) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"5", b"\xff", b"{", b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"])
def test_a_well_signed_payload_that_is_no_object_has_no_claims(payload: bytes) -> None:
    assert verify(jwt.PyJWS().encode(payload, SECRET, "HS256"), SECRET.encode()) is None


def test_one_value_has_one_spelling() -> None:
    """Else one ticket could come as many, past whoever remembers it as text."""
    head, payload, signature = token("HS512", sub="ann").split(".")
    assert len(signature) % 4 == 2
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(signature[:-1] + twin + "==")
    assert parse_token(f"{head}.{payload}.{signature[:-1]}{twin}") is None
