"""Actors and a system under a manual clock, shared by the tests of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors import Actor, ActorRef, ActorSystem, DeadLetter, DeadLetterReason
from actors.testing import ManualScheduler


class World:
    """A system under a manual clock that keeps what its observers saw."""

    def __init__(self) -> None:
        self.clock = ManualScheduler()
        self.dead: list[DeadLetter] = []
        self.failures: list[tuple[str, str]] = []
        self.system = ActorSystem(self.clock, "system", self.dead.append, self._failed)

    def _failed(self, ref: ActorRef, error: Exception) -> None:
        self.failures.append((ref.path, str(error)))

    def run(self) -> None:
        self.clock.run_until_idle()

    def dead_letters(self) -> dict[DeadLetterReason, int]:
        return {reason: n for reason, n in self.system.statistics().dead_letters.items() if n}


class Script(Actor):
    """Records its life in `log`; a callable message is called with the actor, an exception is raised."""

    def __init__(self, log: list[Any], on_start: Callable[[Script], object] | None = None) -> None:
        self.log = log
        self._begin = on_start

    def on_start(self) -> None:
        self.log.append(f"start {self.context.name}")
        if self._begin is not None:
            self._begin(self)

    def receive(self, message: Any) -> object:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.log.append(message)
        return message

    def on_stop(self) -> None:
        self.log.append(f"stop {self.context.name}")

    def on_failure(self, error: Exception) -> None:
        self.log.append(f"failure {error}")


class Flushing(Script):
    """A script that also records the end of each turn."""

    def after_turn(self) -> None:
        self.log.append("flush")
