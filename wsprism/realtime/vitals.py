"""How the process itself is doing: how late the event loop is, and how long garbage collections stop it.

Both are plain histograms that telemetry reads. Started and stopped by the composition root.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from wsprism.realtime.histogram import Histogram

if TYPE_CHECKING:
    from actors import Cancellable, Scheduler

__all__ = ["Vitals"]

INTERVAL_S: Final = 0.1


class Vitals:
    """``loop_lag``: how late a timer fires that is due every 0.1 s; a timer's own resolution, up to 1 ms, is part of
    it. ``gc_pause``: by generation. ``clock`` is fine-grained monotonic seconds."""

    def __init__(self, scheduler: Scheduler, clock: Callable[[], float] = time.perf_counter) -> None:
        self.loop_lag = Histogram()
        self.gc_pause = tuple(Histogram() for _ in range(3))
        self._scheduler = scheduler
        self._clock = clock
        self._timer: Cancellable | None = None
        self._due_s = 0.0
        self._gc_began_s = 0.0

    def start(self) -> None:
        """Begin to measure."""
        gc.callbacks.append(self._on_gc)
        self._wait()

    def stop(self) -> None:
        """Measure no more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.callbacks.remove(self._on_gc)

    def _wait(self) -> None:
        self._due_s = self._clock() + INTERVAL_S
        self._timer = self._scheduler.call_later(INTERVAL_S, self._look)

    def _look(self) -> None:
        self.loop_lag.record(max(0.0, self._clock() - self._due_s))
        self._wait()

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_began_s = self._clock()
        else:
            self.gc_pause[info["generation"]].record(self._clock() - self._gc_began_s)
