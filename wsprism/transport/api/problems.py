"""Refusals of the internal API as RFC 9457 problem details, with the protocol's stable ``code``.

A ``Problem`` is a value that any step of a call may return. Its detail is for people and holds nothing internal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode

__all__ = ["CODES", "PROBLEM_JSON", "Problem", "problem_of"]

PROBLEM_JSON: Final = "application/problem+json"

CODES: Final = {
    400: ErrorCode.BAD_REQUEST,
    401: ErrorCode.AUTH_FAILED,
    403: ErrorCode.NOT_ALLOWED,
    404: ErrorCode.BAD_REQUEST,
    405: ErrorCode.BAD_REQUEST,
    408: ErrorCode.TIMEOUT,
    409: ErrorCode.RESOURCE_EXHAUSTED,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
    415: ErrorCode.BAD_REQUEST,
    422: ErrorCode.BAD_REQUEST,
    500: ErrorCode.INTERNAL,
    503: ErrorCode.RESOURCE_EXHAUSTED,
}
"""The code that goes with a status, unless a problem names another."""

_DETAILS: Final = {
    Reason.BROKER_AWAY: "the broker that the nodes share cannot be reached now; nothing was done",
    Reason.ROOM_FULL: "the room is full",
    Reason.TOO_MANY_ROOMS: "the tenant has no room for another room",
    Reason.TOO_MANY_ROOMS_PER_USER: "too many rooms of this user",
    Reason.MAILBOX_FULL: "the room is overloaded; nothing was published",
    Reason.PUBLICATION_LOST: "the room failed meanwhile; it may have been published in part",
    Reason.REVOCATIONS_FULL: "too many revocations are in force; nothing was revoked",
}
_OVERLOADS: Final = {Reason.BROKER_AWAY, Reason.MAILBOX_FULL, Reason.PUBLICATION_LOST, Reason.REVOCATIONS_FULL}


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. ``errors`` are the faults of a body: a JSON pointer and a sentence each."""

    status: int
    detail: str
    code: ErrorCode | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[tuple[str, str], ...] = ()

    def response(self) -> web.Response:
        """The HTTP answer."""
        shown: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": (self.code or CODES[self.status]).value,
        }
        if self.errors:
            shown["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in self.errors]
        body = msgspec.json.encode(shown)
        return web.Response(status=self.status, body=body, content_type=PROBLEM_JSON, headers=self.headers)


def problem_of(denied: Denied) -> Problem:
    """The problem that tells a tenant's no."""
    status = 503 if denied.reason in _OVERLOADS else 409
    headers = {} if denied.retry_after_s is None else {"Retry-After": str(denied.retry_after_s)}
    return Problem(status, _DETAILS.get(denied.reason, "the tenant refused it"), denied.code, headers)
