"""Answers remembered by ``Idempotency-Key``: a repeated call gets the first answer, and nothing happens twice.

A key counts within tenant and path. Only what was carried out is remembered: a refused call may be tried again. A call
goes on when whoever made it waits no longer: until it has ended its key is under way, and nothing is done again.
Bounded: beyond, the oldest answer is forgotten early, and no further call is begun. With a ``StateStore`` answers
outlive a restart. Where other nodes share the tenant, they share its keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wsprism.ports import SharedState, StateKind, StateStore
from wsprism.protocol.codes import ErrorCode
from wsprism.transport.api.idempotency_over_nodes import once_over_nodes
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.remembered import LIFETIME_S, OTHER_BODY, UNDER_WAY, Answered

__all__ = ["MAX_ANSWERS", "MAX_ANSWER_BYTES", "MAX_UNDER_WAY", "PATIENCE_S", "Idempotency"]

MAX_ANSWERS: Final = 100_000
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_UNDER_WAY: Final = 1024
PATIENCE_S: Final = 10.0
"""So long a caller waits for a call that goes on."""

_FAILED: Final = Problem(503, "the first call with this Idempotency-Key has failed")
_OVERDUE: Final = Problem(
    503,
    "no answer in time; the call goes on: ask again with the same Idempotency-Key",
    ErrorCode.TIMEOUT,
    {"Retry-After": "1"},
)
_TOO_MANY: Final = Problem(503, "too many calls are under way; nothing was done", headers={"Retry-After": "1"})

Key = tuple[str, str, str]
"""Tenant, path, the header's value."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    tenant: str
    digest: bytes
    answer: Answered
    until: float


class _Kept(msgspec.Struct, array_like=True):
    digest: bytes
    status: int
    body: bytes


@dataclass(slots=True)
class _Call:
    digest: bytes
    task: asyncio.Task[Answered | Problem]
    overdue: bool = False


class Idempotency:
    """``now`` is monotonic seconds, ``unix_now`` Unix time."""

    def __init__(
        self,
        now: Callable[[], float],
        max_answers: int = MAX_ANSWERS,
        patience_s: float = PATIENCE_S,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
        unix_now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._unix_now = unix_now
        self._max_bytes = max_bytes
        self._bytes = 0
        self._store: StateStore | None = None
        self._max_answers = max_answers
        self._patience_s = patience_s
        self._answers: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._calls: dict[bytes, _Call] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def keep_in(self, store: StateStore, tenants: Iterable[str]) -> None:
        """Before the first call: have answers outlive a restart, and take those that have."""
        self._store = store
        now, unix_now = self._now(), self._unix_now()
        kept = [
            (until or 0.0, place, tenant, msgspec.msgpack.decode(value, type=_Kept))
            for tenant in tenants
            for place, value, until in store.entries(tenant, StateKind.ANSWER, unix_now)
        ]
        for until, place, tenant, one in sorted(kept, key=lambda entry: entry[0]):
            answer = Answered(one.status, one.body)
            self._remember(place, _Remembered(tenant, one.digest, answer, now + until - unix_now))

    def stop(self) -> None:
        """Wait for nothing any more."""
        for call in self._calls.values():
            call.task.cancel()

    async def once(
        self,
        key: Key,
        body: bytes,
        call: Callable[[], Coroutine[Any, Any, Answered | Problem]],
        shared: SharedState | None = None,
    ) -> Answered | Problem:
        """What ``call`` answers, or what it answered before to the same ``key`` and ``body``; on whatever node."""
        digest = _hash(body)
        place = _hash(repr(key).encode())  # as long for every key
        self._forget_old()
        remembered = self._answers.get(place)
        if remembered is not None:
            return remembered.answer if remembered.digest == digest else OTHER_BODY
        running = self._calls.get(place)
        is_first = running is None
        if running is None:
            if len(self._calls) >= MAX_UNDER_WAY:
                return _TOO_MANY
            begun = call() if shared is None else once_over_nodes(shared, place, digest, call)
            running = _Call(digest, asyncio.ensure_future(begun))
            self._calls[place] = running
            running.task.add_done_callback(lambda task: self._end(key[0], place, digest, task))
        elif running.digest != digest:
            return OTHER_BODY
        elif running.overdue:
            return UNDER_WAY
        await asyncio.wait((running.task,), timeout=self._patience_s)
        if not running.task.done():
            running.overdue = True
            return _OVERDUE if is_first else UNDER_WAY
        if running.task.cancelled():
            return _FAILED
        if running.task.exception() is not None and not is_first:
            return _FAILED
        return running.task.result()

    def _end(self, tenant: str, place: bytes, digest: bytes, task: asyncio.Task[Answered | Problem]) -> None:
        del self._calls[place]
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        if isinstance(answer, Answered):
            if self._store is not None:
                kept = msgspec.msgpack.encode(_Kept(digest, answer.status, answer.body))
                self._store.put(tenant, StateKind.ANSWER, place, kept, self._unix_now() + LIFETIME_S)
            self._remember(place, _Remembered(tenant, digest, answer, self._now() + LIFETIME_S))

    def _remember(self, place: bytes, remembered: _Remembered) -> None:
        self._answers[place] = remembered
        self._bytes += len(remembered.answer.body)
        while len(self._answers) > self._max_answers or self._bytes > self._max_bytes:
            forgotten = self._forget_oldest()
            if self._store is not None:
                self._store.drop(forgotten[1].tenant, StateKind.ANSWER, forgotten[0])

    def _forget_old(self) -> None:
        now = self._now()
        while self._answers and next(iter(self._answers.values())).until <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> tuple[bytes, _Remembered]:
        place, oldest = self._answers.popitem(last=False)
        self._bytes -= len(oldest.answer.body)
        return place, oldest


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
