"""The face of an actor towards everybody else.

Owns the contract of `ActorRef`; `actors.cell` implements it. A reference stays valid after its actor's death and
compares by identity. Not thread-safe: everything happens on the system's loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["ActorRef"]


class ActorRef(ABC):
    """Address of one actor; the same through all its restarts."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Name among its siblings."""

    @property
    @abstractmethod
    def path(self) -> str:
        """Names from the system down, joined by slashes."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether messages are still taken: False from the moment that it is told to stop."""

    @property
    @abstractmethod
    def pending(self) -> int:
        """Messages that wait; those of the turn in progress no longer count."""

    @abstractmethod
    def tell(self, message: Any) -> bool:
        """Queue `message`; never waits. False: refused by a full mailbox or dead, counted as a dead letter."""

    @abstractmethod
    def tell_control(self, message: Any) -> bool:
        """Queue `message` in order with the rest whatever the bound. False: dead. For what is bounded otherwise."""

    @abstractmethod
    def deliver(self, messages: list[Any]) -> int:
        """Queue `messages` and run one turn at once, unless one is running; returns how many were taken.

        The list is the callee's when all were taken. Those that a full mailbox or a dead actor did not take stay the
        caller's: nothing is shed for them, and they count nowhere.

        For callbacks of the loop (socket input) only, never from within an actor's `receive`.
        """

    @abstractmethod
    def deliver_control(self, message: Any) -> bool:
        """Queue `message` as `tell_control` does, and run one turn at once as `deliver` does. False: dead."""

    @abstractmethod
    async def ask(self, message: Any, timeout_s: float) -> Any:
        """Queue `message` and wait for what its handling returns, or answers later, at most `timeout_s` seconds.

        Raises AskTimeoutError, MailboxFullError, ActorStoppedError (ActorFailedError when handling it failed), or
        what the actor gave to `Reply.fail`. When the caller gives up first, a question that still waits is dropped.
        """

    @abstractmethod
    def stop(self, reason: str = "stopped") -> None:
        """Handle no further message: waiting ones become dead letters, waiting asks fail, then children stop, last
        spawned first, then the actor. Done on return, unless one of them is within its turn now. Idempotent.
        """

    def __repr__(self) -> str:
        return f"<ActorRef {self.path}>"
