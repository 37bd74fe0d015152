"""What the runtime itself puts into a mailbox or hands to an observer.

Owns `Terminated` (death watch), `DeadLetter` and its reasons, and the `DEFERRED` marker. Knows only `ActorRef`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

from actors.ref import ActorRef

__all__ = ["DEFERRED", "DeadLetter", "DeadLetterReason", "Deferred", "Terminated"]


class Deferred(Enum):
    """Type of `DEFERRED`."""

    DEFERRED = "deferred"


DEFERRED: Final = Deferred.DEFERRED
"""Returned from `receive`: the ask at hand is answered later through the `Reply` taken from `context.reply_to`."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """A watched actor is gone, `on_stop` included; `reason` is what it was stopped with ("failed" after a failure)."""

    ref: ActorRef
    reason: str


class DeadLetterReason(StrEnum):
    """Why a message, or an answer, reached nobody."""

    REFUSED = "refused"  # the mailbox was full
    SHED = "shed"  # it waited, and a newer message took its place
    STOPPED = "stopped"  # told to an actor that was already stopped
    UNHANDLED = "unhandled"  # it waited when its actor stopped
    ASK_EXPIRED = "ask_expired"  # whoever asked gave up before it was handled
    LATE_REPLY = "late_reply"  # an answer came after its ask had ended


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One undelivered message: to whom, what, why."""

    ref: ActorRef
    message: Any
    reason: DeadLetterReason
