"""When the n-th message of an open-loop sender is due, and a timer precise enough to keep to it.

``Schedule`` is pure arithmetic in microseconds. ``Ticker`` wraps a Linux timerfd, because an event loop's own timers
are a whole millisecond coarse, which would be most of a quiet server's latency.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from math import gcd

__all__ = ["Schedule", "Ticker", "sample_every"]

_CLOCK_MONOTONIC = 1
_NONBLOCK = os.O_NONBLOCK


class Schedule:
    """``rate_per_s`` messages evenly spaced from ``start_us``; none is ever skipped because an earlier one was late."""

    __slots__ = ("_interval_us", "next", "start_us")

    def __init__(self, rate_per_s: float, start_us: int) -> None:
        self._interval_us = 1e6 / rate_per_s
        self.start_us = start_us
        self.next = 0

    def intended_us(self, number: int) -> int:
        """When message ``number`` should leave."""
        return self.start_us + int(number * self._interval_us)

    def due(self, now_us: int, most: int) -> range:
        """The numbers that should have left by ``now_us`` and were not handed out yet, at most so many at once."""
        first = self.next
        if now_us < self.start_us:
            return range(first, first)
        last = int((now_us - self.start_us) / self._interval_us) + 1
        self.next = max(first, min(last, first + most))
        return range(first, self.next)


def sample_every(deliveries_per_s: float, senders: int, samples_per_s: float = 20_000) -> int:
    """Which part (one in n) of messages carries a stamp, chosen so that every sender's turn comes."""
    every = max(1, round(deliveries_per_s / samples_per_s))
    while gcd(every, senders) != 1:
        every += 1
    return every


class _TimeSpec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("it_interval", _TimeSpec), ("it_value", _TimeSpec))


class Ticker:
    """Calls ``callback`` every ``period_us`` on ``loop`` until closed. A late tick is one call, not several."""

    def __init__(self, loop: asyncio.AbstractEventLoop, period_us: int, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._loop = loop
        self._callback = callback
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        period = _TimeSpec(period_us // 1_000_000, period_us % 1_000_000 * 1000)
        libc.timerfd_settime(self._fd, 0, ctypes.byref(_TimerSpec(period, period)), None)
        loop.add_reader(self._fd, self._tick)

    def _tick(self) -> None:
        os.read(self._fd, 8)
        self._callback()

    def close(self) -> None:
        """No further call."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
