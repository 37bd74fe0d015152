"""Questions with large answers, a few at a time: what rooms keep, their histories and the values of their services.

After a loss all rooms of a node ask at once. What Redis would have to keep of so many answers costs the connection, and
the next one again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.call_line import refusal
from wsprism.adapters.redis.protocol import AWAY, BACKLOG, Refused, Unknown, Word
from wsprism.adapters.redis.scripts import Script
from wsprism.ports import Unavailable

__all__ = ["LargeReads", "ReadsOwner", "why_not"]

MOST_AT_ONCE: Final = 16
"""An answer has 256 KiB of a room's history, or of a service's values; Redis keeps 32 MiB for a connection."""

Answered = Callable[[Any], object]


class ReadsOwner(Protocol):
    """Who has the connection, and the prefix of the keys."""

    @property
    def reads(self) -> LargeReads: ...
    def call(self, which: Script, arguments: Sequence[Word], answered: Answered) -> Refused | None: ...
    def later(self, call: Callable[[], object]) -> None: ...
    def strange(self, what: str, answer: object) -> None: ...


class LargeReads:
    """Those of a node, whatever its tenants are: they have one connection."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[ReadsOwner, Script, Sequence[Word], Answered]] = deque()
        self._under_way = 0

    def ask(self, owner: ReadsOwner, which: Script, arguments: Sequence[Word], answered: Answered) -> None:
        """``answered`` is told the answer, or ``Refused`` where it could not be asked; never before this returns."""
        self._waiting.append((owner, which, arguments, answered))
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._under_way < MOST_AT_ONCE:
            self._send(*self._waiting.popleft())

    def _send(self, owner: ReadsOwner, which: Script, arguments: Sequence[Word], answered: Answered) -> None:
        def told(answer: Any) -> None:
            self._under_way -= 1
            try:
                answered(answer)
            finally:
                self._go_on()

        refused = owner.call(which, arguments, told)
        if refused is None:
            self._under_way += 1
        else:
            owner.later(lambda: answered(refused))


def why_not(owner: ReadsOwner, which: Script, answer: object) -> Unavailable:
    """What it means to whoever asked that there is no answer; what Redis should not refuse is logged."""
    if not isinstance(answer, Unknown) and not (isinstance(answer, Refused) and answer.code in (AWAY, BACKLOG)):
        owner.strange(which.name, answer)
    return refusal(answer) if isinstance(answer, Refused) else Unavailable.AWAY
