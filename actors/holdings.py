"""What one instance of an actor holds and gives up with its end: children, watches, tasks, timers, deferred answers.

Owns the containers; allocated at the first need, so that an actor without any of them pays one slot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.scheduler import Cancellable

if TYPE_CHECKING:
    from actors.cell import Cell
    from actors.reply import Reply

__all__ = ["Holdings", "Timer"]


class Holdings:
    """Dictionaries serve as ordered sets here."""

    __slots__ = ("children", "replies", "tasks", "timers", "watching")

    def __init__(self) -> None:
        self.children: dict[str, Cell] = {}
        self.watching: dict[Cell, None] = {}
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.timers: dict[Timer, None] = {}
        self.replies: dict[Reply, None] = {}

    def cancel_work(self) -> None:
        """Cancel all tasks and timers; neither tells anything any more."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()
        for timer in tuple(self.timers):
            timer.cancel()


class Timer:
    """A message to self that was put off."""

    __slots__ = ("_handle", "_holdings")

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._handle: Cancellable | None = None

    def arm(self, handle: Cancellable) -> None:
        """Take what the scheduler returned, and stand among the timers of the instance."""
        self._handle = handle
        self._holdings.timers[self] = None

    def done(self) -> None:
        """Leave the timers of the instance, and let go of what rings: it knows this timer."""
        self._holdings.timers.pop(self, None)
        self._handle = None

    def cancel(self) -> None:
        """Never tell the message, unless that has happened."""
        if self._handle is not None:
            self._handle.cancel()
        self.done()
