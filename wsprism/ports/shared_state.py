"""What all nodes of a tenant know together besides its sessions: numbers, one-time tickets, answers to repeated calls.

Answers come as a ``Broker`` gives them. What has an outcome that is not known is asked about until it is: nothing of it
is done twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from wsprism.ports.unavailable import Unavailable

__all__ = ["Claim", "KeyTaken", "SharedState"]


class Claim(NamedTuple):
    """The key ``name`` is whoever's who has asked for it, until it is settled, or its node may write no more."""

    name: bytes
    node: int
    number: int


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Somebody was there before, with what has this ``digest``. ``answer`` None: it is still under way."""

    digest: bytes
    answer: bytes | None


class SharedState(Protocol):
    """One tenant's."""

    def next_generation(self, done: Callable[[int | Unavailable], object]) -> None:
        """The number of a session that is to be opened: greater than those of all before."""
        ...

    def keep_ticket(
        self, name: bytes, owner: bytes, ttl_s: float, most: int, done: Callable[[bool | Unavailable], object]
    ) -> None:
        """Keep whom a one-time ticket stands for; False: there are ``most`` already."""
        ...

    def take_ticket(self, name: bytes, done: Callable[[bytes | Unavailable], object]) -> None:
        """Whom it stands for, so that nobody else can be told; empty: it is no good."""
        ...

    def claim(
        self, name: bytes, digest: bytes, ttl_s: float, done: Callable[[Claim | KeyTaken | Unavailable], object]
    ) -> None:
        """Have a key to oneself, unless somebody has it."""
        ...

    def settle(self, claim: Claim, answer: bytes, ttl_s: float) -> None:
        """Have the answer to what a key was claimed for remembered for so long; empty: it may be claimed anew.

        It is told as soon as it can be. A claim that is another's by now is left alone.
        """
        ...
