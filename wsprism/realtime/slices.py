"""Work over many sessions, a slice at a time, so that the loop turns in between and nobody waits for all of it.

One work at a time, in the order of their beginning: two broadcasts reach everybody in the same order. Owned by a
tenant, which tells itself ``NextSlice`` for each further slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import DEFERRED
from wsprism.realtime.messages import NextSlice

if TYPE_CHECKING:
    from actors import ActorContext, Deferred, Reply
    from wsprism.realtime.session import Session

__all__ = ["SLICE_SESSIONS", "SlicedWork"]

SLICE_SESSIONS: Final = 128
"""Some milliseconds of work, also when every session of a slice is closed."""

Act = Callable[[Sequence["Session"]], int]
"""What is done to one slice; returns how many of its sessions it was done to."""


@dataclass(slots=True)
class _Work:
    sessions: Sequence[Session]
    act: Act
    reply: Reply | None
    at: int = 0
    done: int = 0


class SlicedWork:
    """See the module."""

    def __init__(self, context: ActorContext) -> None:
        self._context = context
        self._works: deque[_Work] = deque()

    def begin(self, sessions: Sequence[Session], act: Act, *, done: int = 0) -> int | Deferred:
        """Do ``act`` to all ``sessions``. The ask at hand is answered, now or later, with ``done`` and what it adds."""
        if not self._works and len(sessions) <= SLICE_SESSIONS:
            return done + act(sessions)
        self._works.append(_Work(sessions, act, self._context.reply_to, done=done))
        if len(self._works) == 1:
            self.go_on()
        return DEFERRED

    def go_on(self) -> None:
        """Do one slice."""
        work = self._works[0]
        work.done += work.act(work.sessions[work.at : work.at + SLICE_SESSIONS])
        work.at += SLICE_SESSIONS
        if work.at >= len(work.sessions):
            self._works.popleft()
            if work.reply is not None:
                work.reply.answer(work.done)
        if self._works:
            self._context.ref.tell_control(NextSlice())
