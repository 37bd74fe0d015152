"""One address of a backend: signed POSTs to it, its breaker, and what becomes of each as one result.

An ``Endpoint`` knows nothing of who asks and in which order. Trouble is a value, never an exception.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from actors import Scheduler
from wsprism.adapters.backend.desk import Asked, Decode, Service, begin_trace, end_trace
from wsprism.adapters.backend.posts import Address, Post, Posts
from wsprism.adapters.http import HttpAnswer, HttpFailure, Trouble
from wsprism.policy.breaker import Breaker
from wsprism.ports import CallResult, Unanswered
from wsprism.protocol.standard_webhooks import signature_headers
from wsprism.protocol.traces import CallTrace

__all__ = ["Endpoint", "fresh_id"]

_MAX_PAUSE_S: Final = 60.0
_PAUSE_WITHOUT_A_TIME_S: Final = 1.0
_CLIENTS_FAULT: Final = range(400, 500)
_COME_BACK: Final = (429, 503)
_NOT_A_NO: Final = (408, 429)

_OPEN: Final = Unanswered(CallResult.OPEN, "it failed too often, and is not asked for a while")

_OF_TROUBLE: Final = {
    Trouble.TIMEOUT: CallResult.TIMEOUT,
    Trouble.UNREACHABLE: CallResult.UNREACHABLE,
    Trouble.UNUSABLE: CallResult.INVALID,
    Trouble.TOO_MANY: CallResult.OVERLOADED,
}


def fresh_id() -> str:
    """The id of a question or batch; a repeated attempt keeps it."""
    return f"msg_{secrets.token_hex(16)}"


class Endpoint:
    """``keys`` sign. ``told`` hears what came of each question, for the log: None, it worked."""

    def __init__(
        self,
        url: str,
        keys: Sequence[bytes],
        timeout_s: float,
        breaker: Breaker,
        posts: Posts,
        scheduler: Scheduler,
        told: Callable[[Endpoint, Unanswered | None], object],
        unix_now: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.keys = keys
        self.timeout_s = timeout_s
        self.breaker = breaker
        self._address = Address(url)
        self._posts = posts
        self._scheduler = scheduler
        self._told = told
        self._unix_now = unix_now
        self._under_way: dict[str, tuple[int, Post]] = {}

    def admits(self) -> bool:
        return self.breaker.admits(self._scheduler.now())

    def split(self, several: Sequence[Any]) -> Sequence[Sequence[int]]:
        """All go to the one address."""
        return (range(len(several)),)

    def send(
        self, service: Service, several: Sequence[Asked], done: Callable[[list[Any] | Unanswered], object]
    ) -> None:
        """POST one question; a 2xx is what ``service`` makes of it."""
        pass_ = self.breaker.ask(self._scheduler.now())
        if pass_ is None:
            self._scheduler.call_soon(done, _OPEN)
            return
        question_id = fresh_id()
        trace = begin_trace(several)

        def answered(answer: HttpAnswer | HttpFailure) -> None:
            del self._under_way[question_id]
            result = self._judge(answer, service.decode(len(several)))
            self._settle(pass_, result, answer)
            self._told(self, result if isinstance(result, Unanswered) else None)
            end_trace(trace, service, several, result, "http")
            done(result)

        body = service.body(several, question_id)
        self._under_way[question_id] = (pass_, self._post(question_id, body, trace, answered))

    async def post(self, message_id: str, body: bytes) -> HttpAnswer | HttpFailure:
        """One signed POST, whatever the breaker thinks."""
        answer: asyncio.Future[HttpAnswer | HttpFailure] = asyncio.get_running_loop().create_future()

        def answered(one: HttpAnswer | HttpFailure) -> None:
            if not answer.done():
                answer.set_result(one)

        post = self._post(message_id, body, None, answered)
        try:
            return await answer
        finally:
            post.withdraw()

    def _post(
        self,
        message_id: str,
        body: bytes,
        trace: CallTrace | None,
        answered: Callable[[HttpAnswer | HttpFailure], object],
    ) -> Post:
        headers = signature_headers(self.keys, message_id, int(self._unix_now()), body)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if trace is not None:
            lines += f"traceparent: {trace.traceparent}\r\n"
        return self._posts.post(self._address, lines, body, self.timeout_s, answered)

    def close(self) -> None:
        """Give up what is under way; nobody is told."""
        under_way, self._under_way = self._under_way, {}
        for pass_, post in under_way.values():
            post.withdraw()
            self.breaker.withdrawn(pass_, self._scheduler.now())

    @staticmethod
    def _judge(answer: HttpAnswer | HttpFailure, decode: Decode) -> list[Any] | Unanswered:
        if isinstance(answer, HttpFailure):
            return Unanswered(_OF_TROUBLE[answer.kind], answer.why)
        status = answer.status
        if status in _CLIENTS_FAULT and status not in _NOT_A_NO:
            return Unanswered(CallResult.REFUSED, f"status {status}")
        if status not in (200, 204):
            return Unanswered(CallResult.INVALID, f"status {status}")
        values = decode(status, answer.body)
        return Unanswered(CallResult.INVALID, values) if isinstance(values, str) else values

    def _settle(self, pass_: int, result: list[Any] | Unanswered, answer: HttpAnswer | HttpFailure) -> None:
        now = self._scheduler.now()
        if not isinstance(result, Unanswered) or result.result is CallResult.REFUSED:
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
