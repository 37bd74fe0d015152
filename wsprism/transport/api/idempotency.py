"""Answers remembered by ``Idempotency-Key``: a repeated call gets the first answer, and nothing happens twice.

A key counts within tenant and path. Only what was carried out is remembered: a refused call may be tried again. Calls
that come while the first is under way wait for its answer. Bounded: beyond, the oldest answer is forgotten early.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from wsprism.transport.api.problems import Problem

__all__ = ["LIFETIME_S", "MAX_ANSWERS", "Answered", "Idempotency"]

LIFETIME_S: Final = 600.0
MAX_ANSWERS: Final = 100_000

_OTHER_BODY: Final = Problem(422, "this Idempotency-Key was used with another body")

Key = tuple[str, str, str]
"""Tenant, path, the header's value."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was carried out: what its caller is told."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Remembered:
    digest: bytes
    answer: Answered
    until: float


class Idempotency:
    """``now`` is monotonic seconds."""

    def __init__(self, now: Callable[[], float], max_answers: int = MAX_ANSWERS) -> None:
        self._now = now
        self._max_answers = max_answers
        self._answers: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._running: dict[bytes, tuple[bytes, asyncio.Future[Answered | Problem]]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    async def once(
        self, key: Key, body: bytes, call: Callable[[], Awaitable[Answered | Problem]]
    ) -> Answered | Problem:
        """What ``call`` answers, or what it answered before to the same ``key`` and ``body``."""
        digest = _hash(body)
        place = _hash(repr(key).encode())  # as long for every key
        self._forget_old()
        remembered = self._answers.get(place)
        if remembered is not None:
            return remembered.answer if remembered.digest == digest else _OTHER_BODY
        running = self._running.get(place)
        if running is not None:
            return await asyncio.shield(running[1]) if running[0] == digest else _OTHER_BODY
        answered: asyncio.Future[Answered | Problem] = asyncio.get_running_loop().create_future()
        self._running[place] = (digest, answered)
        try:
            answer = await call()
        except BaseException:
            answered.set_result(Problem(503, "the first call with this Idempotency-Key has failed"))
            raise
        finally:
            del self._running[place]
        answered.set_result(answer)
        if isinstance(answer, Answered):
            self._answers[place] = _Remembered(digest, answer, self._now() + LIFETIME_S)
            if len(self._answers) > self._max_answers:
                self._answers.popitem(last=False)
        return answer

    def _forget_old(self) -> None:
        now = self._now()
        while self._answers and next(iter(self._answers.values())).until <= now:
            self._answers.popitem(last=False)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
