"""What may be a user id, whoever issued the ticket: text that both lanes, a log line and a metric can carry."""

from __future__ import annotations

import re

from wsprism.protocol.hot import MAX_SENDER_BYTES

__all__ = ["is_user_id"]

_breaks_a_line = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]").search


def is_user_id(user: str) -> bool:
    """Whether ``user`` is 1-255 bytes of UTF-8 without a control character or a line separator."""
    try:
        size_bytes = len(user.encode())
    except UnicodeEncodeError:  # a lone surrogate, as JSON can spell one
        return False
    return 0 < size_bytes <= MAX_SENDER_BYTES and _breaks_a_line(user) is None
