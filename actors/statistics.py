"""What an actor system counts.

Owns the plain integers that turns increment (`Counters`) and the snapshot that telemetry reads when it is asked
(`SystemStatistics`). Knows no telemetry library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors.messages import DeadLetterReason

__all__ = ["Counters", "SystemStatistics"]


class Counters:
    """Totals since the system's start."""

    __slots__ = ("actors", "dead_letters", "escalations", "failures", "messages", "restarts", "turns")

    def __init__(self) -> None:
        self.actors = 0
        self.turns = 0
        self.messages = 0
        self.failures = 0
        self.restarts = 0
        self.escalations = 0
        self.dead_letters: dict[DeadLetterReason, int] = dict.fromkeys(DeadLetterReason, 0)


@dataclass(frozen=True, slots=True)
class SystemStatistics:
    """A snapshot. All are totals since the start except `actors` and the mailbox figures, which are of now."""

    actors: int
    turns: int
    messages: int
    failures: int
    restarts: int
    escalations: int
    """Failures that reached the top: a top-level actor stopped for good."""
    dead_letters: Mapping[DeadLetterReason, int]
    mailbox_depth: int
    """Messages that wait, in all mailboxes."""
    deepest_depth: int
    deepest_path: str
    """The actor with the deepest mailbox; empty when nothing waits."""
