"""Signs what is POSTed to a backend as Standard Webhooks 1.0 defines it (https://www.standardwebhooks.com).

Pure: the caller brings the message's id and the time. A receiver must find the three headers right, the time near its
own clock, and treats a repeated id as the same message.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

__all__ = ["MIN_SECRET_BYTES", "SECRET_PREFIX", "TOLERANCE_S", "parse_secret", "signature_headers", "verify"]

SECRET_PREFIX = "whsec_"
TOLERANCE_S = 300
"""How far a message's time may be from the receiver's clock."""

MIN_SECRET_BYTES = 24
"""What the specification asks of a secret; a shorter one signs too."""


def parse_secret(text: str) -> bytes | None:
    """The key in ``whsec_<base64>``; None when it is no such secret."""
    if not text.startswith(SECRET_PREFIX):
        return None
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def signature_headers(key: bytes | Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of one message: its id, the Unix time of this attempt, and the signature (scheme v1) over all three.

    A repeated attempt keeps the id and signs a new time. While keys rotate each of them signs; the signatures stand in
    one header, with a space between them.
    """
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    keys = (key,) if isinstance(key, bytes) else key
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{_signature(one, signed)}" for one in keys),
    }


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, unix_now: float) -> str | None:
    """What is wrong with a received message, None: it is one of ours, made within the last five minutes.

    ``headers`` are looked up in lower case.
    """
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    given = headers.get("webhook-signature")
    if not message_id or not timestamp or not given:
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if not timestamp.isascii() or not timestamp.isdigit() or abs(int(timestamp) - unix_now) > TOLERANCE_S:
        return "webhook-timestamp is not near this clock"
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    wanted = [f"v1,{_signature(key, signed)}".encode() for key in keys]
    offered = given.encode().split(b" ")
    good = [hmac.compare_digest(one, other) for one in wanted for other in offered]
    return None if any(good) else "webhook-signature is of another secret or another body"


def _signature(key: bytes, signed: bytes) -> str:
    return binascii.b2a_base64(hmac.digest(key, signed, "sha256"), newline=False).decode()
