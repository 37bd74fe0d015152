"""When the next slice of writes may start: a leaky bucket on the time that sending takes.

Pure arithmetic in seconds of any monotonic clock. The flusher asks before each slice and reports after it.
"""

from __future__ import annotations

from qos.native import mypyc_attr

__all__ = ["Pacer"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Pacer:
    """Holds sending to ``share`` of the loop's time (0 < share <= 1; 1 never holds).

    One hold never lasts longer than ``max_delay_s`` (0 never holds); one shorter than ``grain_s`` is not worth a
    timer, so that the slice starts at once and the time is owed by the next.
    """

    __slots__ = ("_free_at", "_grain_s", "_max_delay_s", "_share")

    def __init__(self, share: float = 0.67, max_delay_s: float = 0.010, grain_s: float = 0.001) -> None:
        self._share = share
        self._max_delay_s = max_delay_s
        self._grain_s = grain_s
        self._free_at = float("-inf")

    def next_start(self, now: float) -> float:
        """Seconds to wait before the next slice; 0: it may start now."""
        wait_s = self._free_at - now
        return 0.0 if wait_s < self._grain_s else min(wait_s, self._max_delay_s)

    def slice_done(self, start: float, end: float) -> None:
        """A slice ran from ``start`` to ``end``."""
        free_at = self._free_at
        if free_at < start:
            free_at = start
        if end > start:
            free_at += (end - start) / self._share
        latest = end + self._max_delay_s
        self._free_at = free_at if free_at < latest else latest
