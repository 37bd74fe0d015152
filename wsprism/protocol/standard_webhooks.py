"""Signs what is POSTed to a backend as Standard Webhooks 1.0 defines it (https://www.standardwebhooks.com).

Pure: the caller brings the message's id and the time. A receiver must find the three headers right, the time near its
own clock, and treats a repeated id as the same message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["MIN_SECRET_BYTES", "SECRET_PREFIX", "parse_secret", "signature_headers"]

SECRET_PREFIX = "whsec_"
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


def signature_headers(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of one message: its id, the Unix time of this attempt, and the signature (scheme v1) over all three.

    A repeated attempt keeps the id and signs a new time.
    """
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }
