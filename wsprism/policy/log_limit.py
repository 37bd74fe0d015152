"""At most one log line a second for each reason: what anybody outside can cause must not fill a disk.

Reasons are few and ours (an enumeration, a constant), never text from the wire. Whoever logs refusals uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

__all__ = ["LimitedLog"]

INTERVAL_S: Final = 1.0


class LimitedLog:
    """Writes to ``logger``; ``now`` is monotonic seconds. What was left out is counted in the next line."""

    def __init__(self, logger: logging.Logger, now: Callable[[], float]) -> None:
        self._logger = logger
        self._now = now
        self._next_at: dict[tuple[str, str | None], float] = {}
        self._left_out: dict[tuple[str, str | None], int] = {}

    def log(
        self,
        reason: str,
        message: str,
        *,
        of: str | None = None,
        level: int = logging.INFO,
        raised: BaseException | None = None,
        **fields: object,
    ) -> None:
        """One line with ``reason``, ``fields`` and ``left_out`` (lines of this reason since the last one, if any).

        ``of`` limits each of a few known parties by itself; ``raised`` is shown with its traceback.
        No field may hold a secret, and none a name of the standard ``LogRecord``.
        """
        now = self._now()
        key = reason, of
        if now < self._next_at.get(key, 0.0):
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return
        self._next_at[key] = now + INTERVAL_S
        left_out = self._left_out.pop(key, 0)
        if left_out:
            fields["left_out"] = left_out
        self._logger.log(level, message, exc_info=raised, extra={"reason": reason, **fields})
