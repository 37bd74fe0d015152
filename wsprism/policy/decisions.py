"""The vocabulary of refusals: every reason there is, the refusal as a value, and the count of each reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wsprism.protocol.codes import ErrorCode

__all__ = ["DecisionCounters", "Denied", "Reason"]


class Reason(StrEnum):
    """Why something was refused; a metric's label, so the set is closed."""

    AUTH_FAILED = "auth_failed"
    BACKEND_BUSY = "backend_busy"
    BACKEND_FAILED = "backend_failed"
    BACKEND_REFUSED = "backend_refused"
    BAD_REQUEST = "bad_request"
    BAD_REQUEST_HOT = "bad_request_hot"
    BROKER_AWAY = "broker_away"
    HANDSHAKE_GLOBAL = "handshake_global"
    HANDSHAKE_IP = "handshake_ip"
    MAILBOX_FULL = "mailbox_full"
    NOT_ALLOWED_EXT = "not_allowed_ext"
    NOT_ALLOWED_HOT = "not_allowed_hot"
    NOT_ALLOWED_ROOM = "not_allowed_room"
    NOT_MEMBER = "not_member"
    NO_ACTIVE_ROOM = "no_active_room"
    PUBLICATION_LOST = "publication_lost"
    RATE_LIMITED_CONTROL = "rate_limited_control"
    RATE_LIMITED_EXT = "rate_limited_ext"
    RATE_LIMITED_HOT = "rate_limited_hot"
    READ_ONLY = "read_only"
    REVOCATIONS_FULL = "revocations_full"
    REVOKED = "revoked"
    ROOM_FULL = "room_full"
    ROOM_HOT_SHED = "room_hot_shed"
    SERVICE_BUSY = "service_busy"
    SERVICE_FAULT = "service_fault"
    SERVICE_REFUSED = "service_refused"
    SERVICE_SUSPENDED = "service_suspended"
    TENANT_FULL = "tenant_full"
    TICKET_UNJUDGED = "ticket_unjudged"
    TOO_MANY_ROOMS = "too_many_rooms"
    TOO_MANY_ROOMS_PER_USER = "too_many_rooms_per_user"
    TOO_MANY_SESSIONS = "too_many_sessions"
    UNKNOWN_SERVICE = "unknown_service"
    UNSUPPORTED_VERSION = "unsupported_version"
    VALUES_FULL = "values_full"
    VALUE_CHANGED = "value_changed"


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal. ``retry_after_s`` is in whole seconds, where waiting helps."""

    reason: Reason
    code: ErrorCode
    retry_after_s: int | None = None


class DecisionCounters:
    """How often each reason was given."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Reason, 0)

    def count(self, reason: Reason, times: int = 1) -> None:
        """One more, or several."""
        self._counts[reason] += times

    def __getitem__(self, reason: Reason) -> int:
        return self._counts[reason]

    def items(self) -> Iterable[tuple[Reason, int]]:
        """Every reason with its count, zeros included."""
        return self._counts.items()
