"""wsPrism's exceptions, split by who must act.

    WsPrismError
    ├── OperatorError          the operator: configuration, ports in use, unreadable files
    └── InternalError          us: an invariant was broken

What a client does wrong is never an exception: protocol faults and policy refusals are values.
"""

from __future__ import annotations

__all__ = ["InternalError", "OperatorError", "WsPrismError"]


class WsPrismError(Exception):
    """Root of everything that wsPrism raises on purpose."""


class OperatorError(WsPrismError):
    """The gateway cannot start or go on as told; the message says what to change."""


class InternalError(WsPrismError):
    """A promise between parts of the gateway was broken."""
