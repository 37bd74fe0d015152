"""A service's ticks: one timer for all of its rooms, and none while there are no rooms.

A round goes through the rooms in slices, with everybody else's turns between. What is late is not made up for: a round
that is still under way when the next is due takes its place, and ticks keep their beat.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wsprism.plugin.service import Tick
from wsprism.ports import ServiceHost

__all__ = ["Ticker"]

SLICE_S: Final = 0.002
"""So long ticks may run before others have their turn; a single one is never cut short."""

_EARLY_S: Final = 0.001
"""A timer's own resolution."""

_LOOKED_AT: Final = 8
"""Ticks between two looks at the clock."""


class Ticker:
    """Calls ``run(function, room)`` for each tick that is due, for each of ``rooms`` as they are then."""

    def __init__(
        self,
        host: ServiceHost,
        ticks: Sequence[Tick],
        rooms: Mapping[str, None],
        run: Callable[[Callable[..., Any], str], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._host = host
        self._ticks = ticks
        self._rooms = rooms
        self._run = run
        self._clock = clock
        self._due = [0.0] * len(ticks)
        self._rounds: deque[tuple[Callable[..., Any], deque[str]]] = deque()
        self._timer: Any = None
        self._goes_on = False
        self._stopped = False

    def wake(self) -> None:
        """There is a room, perhaps the first. Idempotent."""
        if self._timer is not None or self._stopped or not self._ticks or not self._rooms:
            return
        now = self._host.now()
        self._due = [now + one.every_s for one in self._ticks]
        self._wait(now)

    def stop(self) -> None:
        """Run none any more."""
        self._stopped = True
        self._rounds.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, now: float) -> None:
        self._timer = self._host.call_later(max(0.0, min(self._due) - now), self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._stopped or not self._rooms:
            return
        now = self._host.now()
        for number, tick in enumerate(self._ticks):
            if self._due[number] > now + _EARLY_S:
                continue
            late_s = max(0.0, now - self._due[number])
            self._due[number] += tick.every_s * (1 + late_s // tick.every_s)
            if all(function is not tick.function for function, _ in self._rounds):
                self._rounds.append((tick.function, deque(self._rooms)))
        self._wait(now)
        if not self._goes_on:
            self._go_on()

    def _go_on(self) -> None:
        self._goes_on = False
        until = self._clock() + SLICE_S
        left = _LOOKED_AT
        while self._rounds:
            function, rooms = self._rounds[0]
            while rooms:
                room = rooms.popleft()
                if room in self._rooms:
                    self._run(function, room)
                left -= 1
                if not left:
                    left = _LOOKED_AT
                    if self._clock() >= until:
                        self._goes_on = True
                        self._host.call_soon(self._go_on)
                        return
            if self._rounds:
                self._rounds.popleft()
