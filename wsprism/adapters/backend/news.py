"""Hands a tenant's news to its backend: in order, at least once, one batch at a time.

Whoever has news adds them to the queue in one synchronous step; one task takes them from there. ``send`` delivers a
batch, over HTTP or a stream, and says whether it was taken; until it is, the same batch is sent again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from wsprism.adapters.backend.endpoint import fresh_id
from wsprism.adapters.backend.held_news import HeldNews, NewsEvent
from wsprism.policy.news import NewsBatch, NewsQueue
from wsprism.protocol.backend import SessionFacts, event_body, rfc3339

__all__ = ["News"]

_BACKOFF_FIRST_S: Final = 0.2
_BACKOFF_MOST_S: Final = 30.0
_KNOWN_WITHIN_S: Final = 2.0
"""At the end, what is not known of events yet."""


class News:
    """``now`` is monotonic, ``unix_now`` Unix time. ``start`` it on the running loop, ``finish`` it once."""

    def __init__(
        self,
        queue: NewsQueue,
        send: Callable[[NewsBatch], Awaitable[bool]],
        max_delay_s: float,
        now: Callable[[], float],
        unix_now: Callable[[], float],
    ) -> None:
        self.queue = queue
        self.max_delay_s = max_delay_s
        self._send = send
        self._now = now
        self._unix_now = unix_now
        self._held = HeldNews(
            lambda event: self._add(event.body(queue.next_seq)),
            queue.bounds.max_waiting,
            queue.bounds.max_waiting_bytes,
        )
        self._woken = asyncio.Event()
        self._all_known: asyncio.Event | None = None
        self._hurry = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.get_running_loop().create_task(self._deliver())

    def tell(self, event_type: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> None:
        """Take one event."""
        time = rfc3339(self._unix_now())
        if len(self._held):
            self._held.add(NewsEvent(event_type, time, session, fields))
        else:
            self._add(event_body(self.queue.next_seq, event_type, time, session, fields))

    def tell_once_known(
        self, event_type: str, session: SessionFacts | None, fields: Mapping[str, Any]
    ) -> Callable[[Mapping[str, Any]], None]:
        """Take one event of which not all is known yet; call with what is missing. Others wait behind it."""
        return self._held.add_unknown(NewsEvent(event_type, rfc3339(self._unix_now()), session, fields))

    def _add(self, event: bytes) -> None:
        queue = self.queue
        queue.add(event, self._now())
        if self._all_known is not None and not len(self._held):
            self._all_known.set()
        if not self._woken.is_set() and (len(queue) == 1 or queue.full_batch_waits):
            self._woken.set()

    def retry_now(self) -> None:
        """There is a new way to the backend: wait no longer."""
        self._woken.set()

    async def finish(self, grace_s: float) -> int:
        """Hand on what waits, within ``grace_s``; how many events are left, which nobody will be told."""
        ends_at = self._now() + grace_s
        await self._know_all(min(grace_s, _KNOWN_WITHIN_S))
        self._hurry = True
        self._woken.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=max(ends_at - self._now(), 0.0))
            for task in late:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return len(self.queue)

    async def _know_all(self, within_s: float) -> None:
        """Wait for what is not known yet; what is still unknown then is told without."""
        if len(self._held):
            self._all_known = asyncio.Event()
            try:
                async with asyncio.timeout(within_s):
                    await self._all_known.wait()
            except TimeoutError:
                pass
            self._held.give_up()

    async def _deliver(self) -> None:
        failed_in_row = 0
        while True:
            if not failed_in_row:
                await self._gather()
            batch = self.queue.batch(self._now(), fresh_id())
            if batch is None:
                if self._hurry:
                    return
                failed_in_row = 0
            elif await self._send(batch):
                self.queue.taken(batch)
                failed_in_row = 0
            else:
                failed_in_row += 1
                most_s = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(failed_in_row - 1, 16))
                await self._wait(random.uniform(0, _BACKOFF_FIRST_S if self._hurry else most_s))

    async def _gather(self) -> None:
        """Wait for events, and until a batch is full or its oldest event has waited long enough."""
        queue = self.queue
        while not self._hurry:
            if not len(queue):
                await self._wait(None)
                continue
            left_s = self.max_delay_s - queue.oldest_age_s(self._now())
            if left_s <= 0 or queue.full_batch_waits:
                return
            await self._wait(left_s)

    async def _wait(self, timeout_s: float | None) -> None:
        """Until it is woken, at most ``timeout_s``."""
        self._woken.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            pass
