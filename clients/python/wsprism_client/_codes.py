"""What the end of a connection means: come back, come back with a new ticket, or never (docs/protocol.md, Closing)."""

from __future__ import annotations

import random
from enum import Enum

__all__ = ["Verdict", "backoff_s", "of_close", "of_status"]


class Verdict(Enum):
    """What follows from a close code or a refusal."""

    RECONNECT = "reconnect"
    NEW_TICKET = "new ticket"
    """Ask the ticket function once more, and then no more."""
    FINAL = "final"


_FINAL_BELOW_4000 = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})
_REFUSED_TICKET = frozenset({4502, 4505})


def of_close(code: int, *, authed: bool) -> Verdict:
    """Of a close code; before ``authed`` it is an explained refusal of the handshake."""
    if not authed and code in _REFUSED_TICKET:
        return Verdict.NEW_TICKET
    if 4500 <= code <= 4999 or code in _FINAL_BELOW_4000:
        return Verdict.FINAL
    return Verdict.RECONNECT


def of_status(status: int) -> Verdict:
    """Of the HTTP status of a refused handshake."""
    if status in (401, 403):
        return Verdict.NEW_TICKET
    if status in (408, 425, 429) or status >= 500:
        return Verdict.RECONNECT
    return Verdict.FINAL


def backoff_s(failures: int, base_s: float, cap_s: float) -> float:
    """Full jitter: anything from 0 to the bound, which doubles with each failure (``failures`` counts from 0)."""
    return random.uniform(0, min(cap_s, base_s * 2.0 ** min(failures, 32)))
