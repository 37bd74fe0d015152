"""A signed token in its compact form (RFC 7515 §7.1): taken apart strictly, verified with a key that the caller chose.

Pure and without exceptions: what is wrong with a token is None. The header's ``alg`` is only ever compared with what
the caller allows; ``jwk``, ``jku``, ``x5u`` and whatever else a header offers as a key is not looked at.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from wsprism.protocol.jwk import SIGNATURES, VerificationKey
from wsprism.protocol.outside_json import decode_json

__all__ = ["UnverifiedToken", "claimed_issuer", "parse_token", "verified_claims"]


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """Nothing in it may be believed yet."""

    algorithm: str
    key_id: str | None
    signing_input: bytes
    payload: bytes
    signature: bytes


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: Any = msgspec.UNSET


class _Issuer(msgspec.Struct):
    iss: Any = None


def parse_token(token: str) -> UnverifiedToken | None:
    """Take ``token`` apart. None: it is none, or demands an extension (``crit``), of which none is known here."""
    segments = token.encode("utf-8", "replace").split(b".")
    if len(segments) != 3:
        return None
    header_bytes, payload, signature = (_decoded(segment) for segment in segments)
    if header_bytes is None or payload is None or signature is None:
        return None
    try:
        header = decode_json(header_bytes, _Header)
    except msgspec.DecodeError:
        return None
    if header.crit is not msgspec.UNSET:
        return None
    return UnverifiedToken(header.alg, header.kid, segments[0] + b"." + segments[1], payload, signature)


def claimed_issuer(token: UnverifiedToken) -> Any:
    """The ``iss`` that the token claims, verified or not: good for refusing it, for nothing else."""
    try:
        return decode_json(token.payload, _Issuer).iss
    except msgspec.DecodeError:
        return None


def verified_claims(token: UnverifiedToken, key: VerificationKey) -> dict[str, Any] | None:
    """The claims, once ``key``, which fits the token's algorithm, has verified them. None: it has not."""
    if not SIGNATURES[token.algorithm].verify(token.signing_input, key, token.signature):
        return None
    try:
        return decode_json(token.payload, dict[str, Any])
    except msgspec.DecodeError:
        return None


def _decoded(segment: bytes) -> bytes | None:
    """Base64url without padding, in the one spelling that each value has."""
    try:
        value = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        return None
    return value if base64.urlsafe_b64encode(value).rstrip(b"=") == segment else None
