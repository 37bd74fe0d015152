"""One address of a backend: signed POSTs to it, its breaker, and what becomes of each as one result.

An ``Endpoint`` knows nothing of who asks and in which order. Trouble is a value, never an exception.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Generic, TypeVar

from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure, Trouble
from wsprism.policy.breaker import Breaker
from wsprism.ports import CallResult, Unanswered
from wsprism.protocol.standard_webhooks import signature_headers

__all__ = ["Endpoint", "fresh_id"]

_MAX_PAUSE_S: Final = 60.0
_PAUSE_WITHOUT_A_TIME_S: Final = 1.0
_CLIENTS_FAULT: Final = range(400, 500)
_COME_BACK: Final = (429, 503)
_NOT_A_NO: Final = (408, 429)

_OF_TROUBLE: Final = {
    Trouble.TIMEOUT: CallResult.TIMEOUT,
    Trouble.UNREACHABLE: CallResult.UNREACHABLE,
    Trouble.UNUSABLE: CallResult.INVALID,
    Trouble.TOO_MANY: CallResult.OVERLOADED,
}

T = TypeVar("T")


def fresh_id() -> str:
    """The id of a question or batch; a repeated attempt keeps it."""
    return f"msg_{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """An answer that could be used."""

    value: T


class Endpoint:
    """``keys`` sign; ``now`` is monotonic, ``unix_now`` Unix time in seconds."""

    def __init__(
        self,
        url: str,
        keys: Sequence[bytes],
        timeout_s: float,
        breaker: Breaker,
        client: HttpClient,
        now: Callable[[], float],
        unix_now: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.keys = keys
        self.timeout_s = timeout_s
        self.breaker = breaker
        self._client = client
        self._now = now
        self._unix_now = unix_now

    async def ask(
        self, question_id: str, body: bytes, decode: Callable[[int, bytes], T | str], headers: Mapping[str, str]
    ) -> Told[T] | Unanswered:
        """POST one question. ``decode`` makes something of status and body of a 2xx, or says what is wrong with it."""
        pass_ = self.breaker.ask(self._now())
        if pass_ is None:
            return Unanswered(CallResult.OPEN, "it failed too often, and is not asked for a while")
        settled = False
        try:
            answer = await self.post(question_id, body, headers)
            result = self._judge(answer, decode)
            self._settle(pass_, result, answer)
            settled = True
            return result
        finally:
            if not settled:
                self.breaker.withdrawn(pass_, self._now())

    async def post(self, message_id: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer | HttpFailure:
        """One signed POST, whatever the breaker thinks."""
        signed = signature_headers(self.keys, message_id, int(self._unix_now()), body)
        everything = {"Content-Type": "application/json", **signed, **headers}
        return await self._client.post(self.url, body, everything, self.timeout_s)

    @staticmethod
    def _judge(answer: HttpAnswer | HttpFailure, decode: Callable[[int, bytes], T | str]) -> Told[T] | Unanswered:
        if isinstance(answer, HttpFailure):
            return Unanswered(_OF_TROUBLE[answer.kind], answer.why)
        status = answer.status
        if status in _CLIENTS_FAULT and status not in _NOT_A_NO:
            return Unanswered(CallResult.REFUSED, f"status {status}")
        if status not in (200, 204):
            return Unanswered(CallResult.INVALID, f"status {status}")
        value = decode(status, answer.body)
        return Unanswered(CallResult.INVALID, value) if isinstance(value, str) else Told(value)

    def _settle(self, pass_: int, result: Told[T] | Unanswered, answer: HttpAnswer | HttpFailure) -> None:
        now = self._now()
        if isinstance(result, Told) or result.result is CallResult.REFUSED:
            self.breaker.worked(pass_)
        elif isinstance(answer, HttpAnswer) and answer.status in _COME_BACK and answer.retry_after is not None:
            self.breaker.pause(pass_, now + self._pause_s(answer.retry_after))
        else:
            self.breaker.failed(pass_, now)

    def _pause_s(self, retry_after: str) -> float:
        """RFC 9110 §10.2.3: seconds or a date; what is neither is a short pause."""
        text = retry_after.strip()
        if text.isascii() and text.isdigit():
            return min(float(text), _MAX_PAUSE_S)
        try:
            wait_s = parsedate_to_datetime(text).timestamp() - self._unix_now()
        except (TypeError, ValueError, OverflowError):
            wait_s = _PAUSE_WITHOUT_A_TIME_S
        return min(max(wait_s, 0.0), _MAX_PAUSE_S)
