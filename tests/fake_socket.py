"""The socket under a ``Link`` in tests: an asyncio transport that only remembers, and a loop on a manual clock."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from actors.testing import ManualScheduler
from wsprism.transport.websocket.link import Link

__all__ = ["FakeLoop", "FakeSocket"]


class FakeSocket(asyncio.Transport):
    """An asyncio transport that keeps what is written, and hands over data only while it is read."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self.link: Link
        self.written = b""
        self.unsent_bytes = 0
        self.full = False
        self.reading = True
        self.closing = False
        self.lost = False
        self.waiting: deque[bytes] = deque()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closing:
            return
        self.written += data
        if self.full:
            self.unsent_bytes += len(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self._scheduler.call_soon(self.pump)

    def is_reading(self) -> bool:
        return self.reading and not self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unsent_bytes:
            self._lose()

    def abort(self) -> None:
        self.closing = True
        self._lose()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._scheduler.call_soon(self.link.connection_lost, None)

    def arrive(self, data: bytes) -> None:
        self.waiting.append(data)
        self.pump()

    def pump(self) -> None:
        while self.waiting and self.is_reading():
            data = self.waiting.popleft()
            room = self.link.get_buffer(-1)
            if len(data) > len(room):
                self.waiting.appendleft(data[len(room) :])
                data = data[: len(room)]
            room[: len(data)] = data
            self.link.buffer_updated(len(data))

    def set_full(self, full: bool) -> None:
        if full is self.full or self.lost:
            return
        self.full = full
        if full:
            self.unsent_bytes += 1
            self.link.pause_writing()
            return
        self.unsent_bytes = 0
        self.link.resume_writing()
        if self.closing:
            self._lose()


class FakeLoop:
    """What a link asks of the event loop."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.time = scheduler.now
        self.call_soon = scheduler.call_soon
