"""A call whose answer is made of what its script says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.scripts import Script
from wsprism.ports import Unavailable

__all__ = ["SimpleCall"]

T = TypeVar("T")


@dataclass(slots=True)
class SimpleCall(Generic[T]):
    """``read`` is given the whole answer. Nothing denies it, and it may be asked again as it is."""

    script: Script
    arguments: Sequence[Word]
    read: Callable[[Sequence[Any]], T]
    done: Callable[[T | Unavailable], object]
    size_bytes: int = 0

    def answer(self, answer: Sequence[Any]) -> None:
        self.done(self.read(answer))

    def deny(self, _: bytes) -> None:
        """Nothing does."""

    def refuse(self, why: Unavailable) -> None:
        self.done(why)
