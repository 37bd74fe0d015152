"""Calls that have an order among each other: what is done to one room, or for one session, one after the other.

One call is under way; what became of it when its connection was lost is found out by asking again, over the next
connection: the script knows whether it was there before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

from wsprism.adapters.redis.protocol import AWAY, BACKLOG, Refused, Unknown, Word
from wsprism.adapters.redis.scripts import Script
from wsprism.ports import Unavailable

__all__ = ["Call", "CallLine", "Caller", "refusal"]


class Caller(Protocol):
    """Who has the connection, the incarnation and the bounds."""

    @property
    def incarnation(self) -> int: ...
    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None: ...
    def later(self, call: Callable[[], object]) -> None:
        """In a later turn of the loop."""
        ...

    def settled(self, line: CallLine, size_bytes: int) -> None:
        """A call has its answer."""
        ...

    def strange(self, what: str, answer: object) -> None:
        """Redis has answered what is to be logged."""
        ...

    def fenced(self) -> None:
        """Others have cleaned up after this incarnation."""
        ...


class Call(Protocol):
    """One of them: what is sent, again where need be, and who is told what became of it."""

    size_bytes: int

    @property
    def script(self) -> Script: ...
    @property
    def arguments(self) -> Sequence[Word]: ...
    def answer(self, answer: Sequence[Any]) -> None: ...
    def deny(self, reason: bytes) -> None:
        """A limit or a revocation forbids it."""
        ...

    def refuse(self, why: Unavailable) -> None: ...


class CallLine:
    """Calls in their order. Empty, it may be forgotten."""

    def __init__(self, key: Hashable, caller: Caller) -> None:
        self.key = key
        self._caller = caller
        self._calls: deque[Call] = deque()
        self._sent = False

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Behind all others; sent at once if there are none."""
        self._calls.append(call)
        if len(self._calls) == 1:
            self.send()

    def last_unsent(self) -> Call | None:
        """What stands at the end, if it was not sent yet."""
        return self._calls[-1] if len(self._calls) > self._sent else None

    def unsent(self) -> Sequence[Call]:
        """What was not sent yet, in its order."""
        return list(self._calls)[self._sent :]

    def send(self) -> None:
        """What stands in front, for the first time, or again where its connection was lost."""
        if not self._calls:
            return
        call = self._calls[0]
        refused = self._caller.call(call.script, call.arguments, self._answered)
        self._sent = self._sent or refused is None
        if refused is not None and not self._sent:
            self._caller.later(lambda: self._refused(call, refused))

    def give_up_unsent(self) -> None:
        """The connection was lost: what was not sent is refused, what was is asked about once there is another."""
        unsent = [self._calls.pop() for _ in range(len(self._calls) - self._sent)]
        for call in reversed(unsent):
            call.refuse(Unavailable.AWAY)
            self._caller.settled(self, call.size_bytes)

    def _refused(self, call: Call, refused: Refused) -> None:
        if self._calls and self._calls[0] is call and not self._sent:
            self._settle(refused)
            self._go_on()

    def _answered(self, answer: Any) -> None:
        if not isinstance(answer, Unknown):
            self._settle(answer)
            self._go_on()

    def _go_on(self) -> None:
        """Whoever was answered may have added the next one already, which is under way then."""
        if not self._sent:
            self.send()

    def _settle(self, answer: Any) -> None:
        call = self._calls.popleft()
        self._sent = False
        match answer:
            case [b"OK", *_]:
                call.answer(answer)
            case [b"FENCED"]:
                call.refuse(Unavailable.AWAY)
                if call.arguments[0] == self._caller.incarnation:
                    self._caller.fenced()
            case [b"DENIED", bytes() as reason]:
                call.deny(reason)
            case [b"GONE"]:
                call.refuse(Unavailable.AWAY)
            case Refused():
                call.refuse(refusal(answer))
                if answer.code not in (AWAY, BACKLOG):
                    self._caller.strange(call.script.name, answer)
            case _:
                call.refuse(Unavailable.AWAY)
                self._caller.strange(call.script.name, answer)
        self._caller.settled(self, call.size_bytes)


def refusal(refused: Refused) -> Unavailable:
    """What it means to whoever asked."""
    return Unavailable.OVERLOADED if refused.code == BACKLOG else Unavailable.AWAY
