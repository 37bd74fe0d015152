"""Keys that verify: what is read from PEM and from JWK Sets, and what is never offered to an algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.keys import SECRET, jwk, jwk_set, private_pem, public_pem, signing_key
from wsprism.protocol.jwk import misfit, parse_key_set, parse_public_key, secret_misfit

ASYMMETRIC = ("RS256", "PS256", "ES256", "EdDSA")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_public_key_in_pem_fits_its_own_algorithms_only(algorithm: str) -> None:
    key = parse_public_key("\n" + public_pem(signing_key(algorithm)) + "\n")
    assert key is not None
    fitting = {one for one in (*ASYMMETRIC, "HS256") if misfit(one, key) is None}
    assert fitting == ({"RS256", "PS256"} if algorithm in ("RS256", "PS256") else {algorithm})


@pytest.mark.parametrize("text", ["", "key", SECRET, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_what_is_no_public_key_is_none(text: str) -> None:
    assert parse_public_key(text) is None


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    assert parse_public_key(private_pem(signing_key("ES256"))) is None


def test_a_weak_or_excessive_rsa_key_and_another_curve_do_not_fit() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    assert misfit("RS256", weak) == "RS256 needs an RSA key of 2048 to 8192 bits"
    assert misfit("ES256", ec.generate_private_key(ec.SECP384R1()).public_key()) is not None


def test_a_published_key_is_no_secret() -> None:
    assert secret_misfit("HS256", SECRET.encode()) is None
    for published in (public_pem(signing_key("RS256")), json.dumps(jwk("ES256", "k"))):
        assert secret_misfit("HS256", published.encode()) == "the secret of HS256 is a key of another kind"


def test_keys_of_a_set_are_found_by_id_and_algorithm() -> None:
    keys = parse_key_set(jwk_set(jwk("RS256", "one"), jwk("ES256", "two"), jwk("EdDSA", "one")), ASYMMETRIC)
    assert keys is not None
    assert keys.find("one", "RS256") == signing_key("RS256").public_key()
    assert keys.find("one", "PS256") is not None
    assert keys.find("one", "EdDSA") is not None
    assert keys.find("two", "RS256") is None
    assert keys.find("three", "RS256") is None


def test_an_algorithm_that_is_not_allowed_or_not_the_keys_own_finds_nothing() -> None:
    keys = parse_key_set(jwk_set(jwk("RS256", "one", alg="PS256"), jwk("ES256", "two")), ["RS256", "PS256"])
    assert keys is not None
    assert keys.find("one", "RS256") is None
    assert keys.find("one", "PS256") is not None
    assert keys.find("two", "ES256") is None


def test_without_an_id_only_a_single_fitting_key_is_found() -> None:
    one = parse_key_set(jwk_set(jwk("RS256", None), jwk("ES256", "x")), ["RS256"])
    two = parse_key_set(jwk_set(jwk("RS256", "x"), jwk("RS256", "y", name="b")), ["RS256"])
    assert one is not None
    assert two is not None
    assert one.find(None, "RS256") is not None
    assert two.find(None, "RS256") is None


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    keys = parse_key_set(jwk_set(jwk("ES256", "x"), jwk("ES256", "x", name="b")), ["ES256"])
    assert keys is not None
    assert keys.find("x", "ES256") == signing_key("ES256").public_key()


UNUSABLE: list[Any] = [
    5,
    {},
    {"kty": "RSA", "kid": "k"},
    {"kty": "RSA", "kid": "k", "n": 5, "e": "AQAB"},
    {"kty": "RSA", "kid": "k", "n": "!", "e": "AQAB"},
    {"kty": "RSA", "kid": "k", "n": "AA", "e": "AA"},
    {"kty": "RSA", "kid": 5, "n": "AQAB", "e": "AQAB"},
    {"kty": "EC", "kid": "k", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "kid": "k", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
    {"kty": "OKP", "kid": "k", "crv": "X25519", "x": "A" * 43},
    {"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "A"},
    {"kty": "oct", "kid": "k", "k": "c2VjcmV0"},
    {"kty": "new", "kid": "k"},
    jwk("ES256", "k", use="enc"),
    jwk("ES256", "k", key_ops=["sign"]),
    jwk("ES256", "k", alg="HS256"),
    jwk("ES256", "k", alg="none"),
]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_an_unusable_key_is_passed_over_and_the_others_count(unusable: Any) -> None:
    keys = parse_key_set(jwk_set(unusable, jwk("EdDSA", "good")), (*ASYMMETRIC, "HS256"))
    assert keys is not None
    assert len(keys) == 1
    assert keys.find("good", "EdDSA") is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"keys":5}', b"\xff", b'{"keys":' + b"[" * 50_000])
def test_what_is_no_key_set_is_none(body: bytes) -> None:
    assert parse_key_set(body, ASYMMETRIC) is None


def test_the_private_members_of_a_published_key_are_not_used() -> None:
    leaked = jwk("ES256", "k") | {"d": "A" * 43}
    keys = parse_key_set(jwk_set(leaked), ["ES256"])
    assert keys is not None
    assert isinstance(keys.find("k", "ES256"), ec.EllipticCurvePublicKey)


def test_a_set_without_end_is_read_to_the_hundredth_key() -> None:
    keys = parse_key_set(jwk_set(*[jwk("ES256", str(number)) for number in range(150)]), ["ES256"])
    assert keys is not None
    assert len(keys) == 100
