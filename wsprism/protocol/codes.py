"""Every code that a client may see: error codes of `sys.error` and of refused handshakes, and WebSocket close codes.

Owns the stable names and numbers and the rule which closes invite a client to come back. Knows no message layout.
Called by whoever refuses or closes something.
"""

from enum import IntEnum, StrEnum

__all__ = ["CloseCode", "ErrorCode", "may_reconnect"]


class ErrorCode(StrEnum):
    """The stable `code` of `sys.error` and of a refused handshake's body."""

    BAD_REQUEST = "BAD_REQUEST"
    AUTH_FAILED = "AUTH_FAILED"
    RATE_LIMITED = "RATE_LIMITED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    NOT_ALLOWED = "NOT_ALLOWED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
    TOO_MANY_SESSIONS = "TOO_MANY_SESSIONS"
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"
    """Something behind the gateway is away: try again later."""
    INTERNAL = "INTERNAL"


class CloseCode(IntEnum):
    """The WebSocket close codes that the gateway sends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    SLOW_CONSUMER = 4000
    IDLE = 4001
    RATE_LIMITED = 4002
    TICKET_EXPIRED = 4003
    """Come back with a new ticket."""
    TRY_LATER = 4004
    KICKED = 4500
    TOO_MANY_SESSIONS = 4501
    TICKET = 4502
    PROTOCOL_ERRORS = 4503
    TENANT_REMOVED = 4504
    NOT_ALLOWED_HERE = 4505


_FINAL_STANDARD_CODES = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})


def may_reconnect(code: int) -> bool:
    """Whether a client that saw `code` should come back on its own, with jittered back-off.

    4000-4499 yes, 4500-4999 no (something must change first). Of the codes below 4000, those that end by agreement or
    name a client's own fault (1000, 1002, 1003, 1007-1010) say no; the rest (1001, 1006, 1011-1015 ...) say yes.
    """
    if 4500 <= code <= 4999:
        return False
    return code not in _FINAL_STANDARD_CODES
