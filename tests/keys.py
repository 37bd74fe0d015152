"""Keys and tokens of an issuer, for tests of signed tickets. One key of each kind is made per run."""

from __future__ import annotations

import functools
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from wsprism.protocol.jwk import SIGNATURES

__all__ = ["SECRET", "jwk", "jwk_set", "private_pem", "public_pem", "signing_key", "token"]

SECRET = "0123456789abcdef" * 4
"""Long enough for every HS algorithm."""


def signing_key(algorithm: str, name: str = "a") -> Any:
    """What ``algorithm`` signs with; another ``name`` is another key. RS256 and PS256 share theirs."""
    if algorithm.startswith("HS"):
        return SECRET if name == "a" else SECRET[::-1]
    return _key("RSA" if algorithm in ("RS256", "PS256") else algorithm, name)


@functools.cache
def _key(kind: str, _name: str) -> Any:
    match kind:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def public_pem(key: Any) -> str:
    """The public half, as an operator has it in a file."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def private_pem(key: Any) -> str:
    """The private half."""
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def jwk(algorithm: str, kid: str | None, name: str = "a", **members: Any) -> dict[str, Any]:
    """The public half as a member of a JWK Set."""
    published: dict[str, Any] = json.loads(SIGNATURES[algorithm].to_jwk(signing_key(algorithm, name).public_key()))
    published.pop("key_ops", None)
    return published | ({} if kid is None else {"kid": kid}) | members


def jwk_set(*keys: dict[str, Any]) -> bytes:
    """What a JWKS URL answers."""
    return json.dumps({"keys": keys}).encode()


def token(algorithm: str = "HS256", name: str = "a", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token that a good issuer would make."""
    return jwt.encode(claims, signing_key(algorithm, name), algorithm=algorithm, headers=headers)
