"""The answer to one ask.

Owns the future behind `ActorRef.ask` and ends it exactly once: by an answer, a failure or time. Handed to actors as
`context.reply_to`. Knows of its actor only how to name it and where to count an answer that came too late.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.errors import AskTimeoutError
from actors.messages import DeadLetterReason

if TYPE_CHECKING:
    from actors.turns import Turns

__all__ = ["Reply"]


class Reply:
    """Handle on an ask that waits. `answer` and `fail` return False, and count a late reply, when it has ended."""

    __slots__ = ("_cell", "future")

    def __init__(self, cell: Turns, future: asyncio.Future[Any]) -> None:
        self._cell = cell
        self.future = future

    @property
    def waiting(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.future.done()

    def answer(self, value: Any) -> bool:
        """Return `value` from the ask."""
        if not self._end(value):
            return False
        self.future.set_result(value)
        return True

    def fail(self, error: Exception) -> bool:
        """Raise `error` from the ask."""
        if not self._end(error):
            return False
        self.future.set_exception(error)
        return True

    def abandon(self, error: Exception) -> None:
        """Raise `error` from the ask if it still waits; nothing is counted otherwise. For the runtime."""
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self, timeout_s: float) -> None:
        """End the ask for want of an answer. For the runtime's timer."""
        self.abandon(AskTimeoutError(self._cell.path, timeout_s))

    def _end(self, value: object) -> bool:
        if self.future.done():
            self._cell.system.dead_letter(self._cell, value, DeadLetterReason.LATE_REPLY)
            return False
        return True
