"""The one error of this package, and the codes that are the client's own."""

from __future__ import annotations

__all__ = ["CLOSED", "DISCONNECTED", "QUEUE_FULL", "TIMEOUT", "WsPrismError"]

TIMEOUT = "TIMEOUT"
QUEUE_FULL = "QUEUE_FULL"
DISCONNECTED = "DISCONNECTED"
CLOSED = "CLOSED"


class WsPrismError(Exception):
    """``code`` is the gateway's, or one of TIMEOUT, QUEUE_FULL, DISCONNECTED, CLOSED; ``msg`` is for people."""

    def __init__(self, code: str, msg: str = "") -> None:
        super().__init__(code, msg)
        self.code = code
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.code}: {self.msg}" if self.msg else self.code
