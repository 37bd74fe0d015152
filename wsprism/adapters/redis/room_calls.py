"""What is done to a room in its order: a turn that is published, a change of a value, a purge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.policy.history import Position
from wsprism.policy.values import ValueDenial, Why
from wsprism.ports import Ordered, Unavailable

__all__ = ["Change", "Purge", "Turn"]


@dataclass(slots=True)
class Turn:
    """``arguments`` begin with the incarnation and the number that name it, and end with ``messages`` messages."""

    arguments: Sequence[Word]
    messages: int
    size_bytes: int
    keeps: bool
    done: Callable[[Ordered | Unavailable], object]

    @property
    def script(self) -> Script:
        return script("publish" if self.keeps else "publish_only")

    def answer(self, answer: Sequence[Any]) -> None:
        _, epoch, before, given = answer
        first = int(before) + 1
        offsets = [int(one) for one in given.split(b",")] if given else list(range(first, first + self.messages))
        self.done(Ordered(epoch.decode(), first, offsets))

    def deny(self, _: bytes) -> None:
        """Nothing forbids it."""

    def refuse(self, why: Unavailable) -> None:
        self.done(why)


@dataclass(slots=True)
class Change:
    """``arguments`` are a turn's of one message, and behind them the change of a value that it tells."""

    arguments: Sequence[Word]
    size_bytes: int
    keeps: bool
    done: Callable[[Ordered | ValueDenial | Unavailable], object]

    @property
    def script(self) -> Script:
        return script("change" if self.keeps else "change_only")

    def answer(self, answer: Sequence[Any]) -> None:
        _, epoch, before, given = answer
        first = int(before) + 1
        self.done(Ordered(epoch.decode(), first, [first], int(given.rpartition(b",")[2])))

    def deny(self, reason: bytes) -> None:
        why, _, version = reason.decode().partition(" ")
        self.done(ValueDenial(Why(why), int(version or 0)))

    def refuse(self, why: Unavailable) -> None:
        self.done(why)


@dataclass(slots=True)
class Purge:
    """``arguments`` begin as a turn's do; ``epoch`` is the one that begins."""

    arguments: Sequence[Word]
    epoch: str
    done: Callable[[Position | Unavailable], object]
    size_bytes: int = 0

    @property
    def script(self) -> Script:
        return script("forget")

    def answer(self, answer: Sequence[Any]) -> None:
        self.done(Position(self.epoch if answer[1] else "", 0))

    def deny(self, _: bytes) -> None:
        """Nothing forbids it."""

    def refuse(self, why: Unavailable) -> None:
        self.done(why)
