"""What a connection could not tell its client at once, so that no answer of the gateway closes an honest client.

Refusals and pongs stand in the control class, whose bound is small and strict. Of many in one moment the first are told
one by one; of the rest the client is told how many there were, and gets the newest pong (RFC 6455 §5.5.3).
"""

from __future__ import annotations

from typing import Final

from wsprism.protocol.codes import ErrorCode

__all__ = ["MOST_PONGS", "MOST_REFUSALS", "TELL_UNTOLD_S", "TellUntold", "Untold"]

MOST_REFUSALS: Final = 64
MOST_PONGS: Final = 128
"""Control frames that may stand in the queue before a refusal is only counted, a pong only remembered; no more than a
quarter and half of the class. The rest is for what the gateway says unasked."""

TELL_UNTOLD_S: Final = 0.1


class TellUntold:
    """A connection to itself: tell it, if there is room now."""


class Untold:
    """Made when something could not be told; gone when it has been."""

    __slots__ = ("code", "pong", "refusals")

    def __init__(self) -> None:
        self.refusals = 0
        self.code = ErrorCode.RATE_LIMITED
        self.pong: bytes | None = None
