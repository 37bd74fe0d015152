"""Tickets that the tenant's backend judges: one signed POST for each, and only a clear yes lets anybody in.

The question is signed as Standard Webhooks defines it. Time and size of the answer are bounded; no answer, another
status than 200, and an answer that does not fit all let nobody in; only a 401 or 403 is a no.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure, Outage
from wsprism.adapters.tickets.principals import is_unix_time, principal_of
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.outside_json import decode_json
from wsprism.protocol.standard_webhooks import signature_headers
from wsprism.settings import WebhookAuth

__all__ = ["WebhookAuthenticator"]

MAX_ANSWER_BYTES = 64 * 1024

_NO = (401, 403)
"""What a backend says that works and refuses; any other status is a fault of its own."""

_log = logging.getLogger("wsprism.tickets")


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    """The answer. An unknown field is a fault: it may be a misspelt restriction."""

    user: str
    expires_at: float | str | None = None
    rooms: list[str] | None = None
    read_only: bool | None = None
    metadata: dict[str, Any] | None = None
    info: Any = None


class WebhookAuthenticator:
    """``unix_now`` is Unix time in seconds."""

    def __init__(
        self, tenant: str, settings: WebhookAuth, unix_now: Callable[[], float], client: HttpClient | None = None
    ) -> None:
        self._url = settings.url
        self._key = settings.key()
        self._client = client or HttpClient(timeout_s=settings.timeout_ms / 1000, max_bytes=MAX_ANSWER_BYTES)
        self._unix_now = unix_now
        self._outage = Outage(_log, "the ticket webhook", tenant)

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        question = {
            "tenant": request.tenant,
            "ticket": request.ticket,
            "remote_address": request.remote_address,
            "origin": request.origin,
            "user_agent": request.user_agent,
        }
        try:
            body = msgspec.json.encode(question)
        except UnicodeEncodeError:
            return TicketRefusal.REFUSED  # half a character cannot be put into JSON, and is nobody's ticket
        headers = signature_headers(self._key, f"msg_{secrets.token_hex(16)}", int(self._unix_now()), body)
        answer = await self._client.post(self._url, body, {"Content-Type": "application/json", **headers})
        if isinstance(answer, HttpAnswer) and answer.status in _NO:
            self._outage.worked()
            return TicketRefusal.REFUSED
        principal = _principal_in(answer, self._unix_now())
        if isinstance(principal, str):
            self._outage.failed(principal)
            return TicketRefusal.CANNOT_TELL
        self._outage.worked()
        return principal

    async def close(self) -> None:
        """Ask the backend no more."""
        await self._client.close()


def _principal_in(answer: HttpAnswer | HttpFailure, unix_now: float) -> Principal | TicketRefusal | str:
    """The principal, a refusal when the backend's yes has expired already, or what is wrong with the answer."""
    if isinstance(answer, HttpFailure):
        return answer.why
    if answer.status != 200:
        return f"status {answer.status}"
    try:
        verdict = decode_json(answer.body, _Verdict)
    except msgspec.DecodeError:
        return "the answer is not what it must be"
    expires_at = _unix_time(verdict.expires_at)
    if isinstance(expires_at, str):
        return expires_at
    if expires_at is not None and expires_at <= unix_now:
        return TicketRefusal.EXPIRED
    principal = principal_of(
        verdict.user,
        expires_at=expires_at,
        rooms=verdict.rooms,
        read_only=verdict.read_only,
        metadata=verdict.metadata,
        info=verdict.info,
    )
    return principal if isinstance(principal, Principal) else f"{principal} in the answer is not usable"


def _unix_time(value: float | str | None) -> float | str | None:
    """Unix seconds of a number or an RFC 3339 time with its offset; a str is what is wrong."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            value = moment.timestamp() if moment.tzinfo is not None else math.nan
        except (ValueError, OverflowError):
            value = math.nan
    return value if value is None or is_unix_time(value) else "expires_at in the answer is no time"
