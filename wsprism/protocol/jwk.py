"""Keys that verify signatures: from PEM and from JWK Sets (RFC 7517), and which algorithm each fits (RFC 7518, 8037).

Pure. The algorithms are those of PyJWT. A key that does not fit, or is too weak, is never offered to one; the private
members of a published key are not even looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import jwt.algorithms
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from wsprism.protocol.nesting import MAX_DEPTH
from wsprism.protocol.outside_json import decode_json

__all__ = ["SIGNATURES", "KeySet", "VerificationKey", "misfit", "parse_key_set", "parse_public_key", "secret_misfit"]

VerificationKey = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

SIGNATURES: Final[dict[str, Any]] = {
    name: jwt.algorithms.get_default_algorithms()[name]
    for name in ("HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA")
}
"""What verifies a signature, by the name of its algorithm."""

_RSA_BITS = range(2048, 8193)
"""RFC 7518 §3.3 wants 2048 or more; above 8192 a verification takes noticeable time."""

_MAX_KEYS = 100
_TYPES = {"RSA": ("RS256", "PS256"), "EC": ("ES256",), "OKP": ("EdDSA",)}
_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_UNUSABLE = (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm)


def parse_public_key(pem: str) -> VerificationKey | None:
    """The key in a ``PUBLIC KEY`` of PEM; None when it is none (a private key is none)."""
    try:
        key = load_pem_public_key(pem.strip().encode())
    except _UNUSABLE:
        return None
    known = (RSAPublicKey, EllipticCurvePublicKey, Ed25519PublicKey, Ed448PublicKey)
    return key if isinstance(key, known) else None


def misfit(algorithm: str, key: VerificationKey) -> str | None:
    """What ``algorithm`` needs, when ``key`` is not that; None when it fits."""
    match algorithm:
        case "RS256" | "PS256":
            fits = isinstance(key, RSAPublicKey) and key.key_size in _RSA_BITS
            need = f"an RSA key of {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits"
        case "ES256":
            fits = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
            need = "an EC key on the curve P-256"
        case "EdDSA":
            fits = isinstance(key, Ed25519PublicKey | Ed448PublicKey)
            need = "an Ed25519 or Ed448 key"
        case _:
            fits, need = isinstance(key, bytes), "a secret"
    return None if fits else f"{algorithm} needs {need}"


def secret_misfit(algorithm: str, secret: bytes) -> str | None:
    """Why an HS algorithm must not take ``secret``: it looks like a published key, which everybody has."""
    try:
        SIGNATURES[algorithm].prepare_key(secret)
    except jwt.PyJWTError:
        return f"the secret of {algorithm} is a key of another kind"
    return None


class KeySet:
    """Published keys by what selects them: the ``kid`` and ``alg`` of a token's header."""

    def __init__(self) -> None:
        self._by_id: dict[tuple[str, str], VerificationKey] = {}
        self._by_algorithm: dict[str, list[VerificationKey]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_algorithm.values()))

    def add(self, key_id: str | None, algorithm: str, key: VerificationKey) -> None:
        """Offer ``key`` for ``algorithm``; the first of the same id and algorithm counts."""
        self._by_algorithm.setdefault(algorithm, []).append(key)
        if key_id is not None:
            self._by_id.setdefault((key_id, algorithm), key)

    def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """The key of that id. Without an id the only one that fits: several are never tried in turn."""
        if key_id is not None:
            return self._by_id.get((key_id, algorithm))
        fitting = self._by_algorithm.get(algorithm, [])
        return fitting[0] if len(fitting) == 1 else None


class _Jwk(msgspec.Struct):
    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    key_ops: list[str] | None = None


class _JwkSet(msgspec.Struct):
    keys: list[msgspec.Raw]


def parse_key_set(body: bytes, algorithms: Iterable[str]) -> KeySet | None:
    """The keys of a JWK Set that fit one of ``algorithms``; None when it is no JWK Set.

    A key that is not understood is passed over (RFC 7517 §5), and so is all beyond the first hundred.
    """
    allowed = frozenset(algorithms)
    try:
        published = decode_json(body, _JwkSet, max_depth=2 * MAX_DEPTH).keys
    except msgspec.DecodeError:
        return None
    found = KeySet()
    for raw in published[:_MAX_KEYS]:
        try:
            jwk = decode_json(bytes(raw), _Jwk)
            members = decode_json(bytes(raw), dict[str, Any])
        except msgspec.DecodeError:
            continue
        if jwk.use not in (None, "sig") or (jwk.key_ops is not None and "verify" not in jwk.key_ops):
            continue
        for algorithm in _TYPES.get(jwk.kty, ()):
            if algorithm in allowed and jwk.alg in (None, algorithm):
                key = _load(algorithm, jwk.kty, members)
                if key is not None:
                    found.add(jwk.kid, algorithm, key)
    return found


def _load(algorithm: str, kty: str, members: dict[str, Any]) -> VerificationKey | None:
    public = {name: members.get(name) for name in _MEMBERS[kty]}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    try:
        key: VerificationKey = SIGNATURES[algorithm].from_jwk(public)
    except _UNUSABLE:
        return None
    return key if misfit(algorithm, key) is None else None
