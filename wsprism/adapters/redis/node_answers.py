"""What a node answers to what all were asked: not before what it did for it is in force, and never lost.

It goes by the connection that publications go by, behind all of them that are under way: whoever has the answer knows
that nothing comes any more of what was said before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.adapters.redis.tenant_calls import TenantCalls
from wsprism.ports import Unavailable

__all__ = ["NodeAnswers"]

_MOST: Final = 65_536
"""Answers that nobody could be told; whoever has asked for more has stopped waiting long since."""


class NodeAnswers:
    """``calls`` are those of the connection that publications go by."""

    def __init__(self, calls: TenantCalls[Any]) -> None:
        self._calls = calls
        self._holds = 0
        self._owed: list[tuple[Word, ...]] = []

    def to(self, asker: bytes, number: bytes) -> Callable[[bytes], object]:
        """Gives the answer of this incarnation, whenever it is called."""
        me = self._calls.incarnation

        def answer(body: bytes) -> None:
            self._owe((asker, number, me, body))
            self.say()

        return answer

    def hold(self) -> None:
        """Something is not in force yet."""
        self._holds += 1

    def release(self) -> None:
        """It is."""
        self._holds -= 1
        self.say()

    def say(self) -> None:
        """All that is owed, if it may be said. What others took for dead has nothing to say any more."""
        calls = self._calls
        if self._holds or calls.away:
            return
        owed, self._owed = self._owed, []
        for answer in owed:
            if answer[2] == calls.incarnation:
                self._say(answer)

    def _say(self, answer: tuple[Word, ...]) -> None:
        def said(refused: Unavailable | None) -> None:
            if refused is not None:
                self._owe(answer)

        call = SimpleCall(script("answer"), answer, lambda _: None, said)
        self._calls.behind_all(lambda: self._calls.add_anyway(("answer", *answer[:2]), call))

    def _owe(self, answer: tuple[Word, ...]) -> None:
        if len(self._owed) < _MOST:
            self._owed.append(answer)
