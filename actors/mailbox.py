"""The contract of a mailbox: its bound, what happens when it is full, how much of it one turn drains.

Owns `MailboxSpec` and the internal `Envelope` for items that are more than a plain message. The queue itself is part
of the cell (`actors.cell`), because `tell` is the hottest call of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.reply import Reply

__all__ = ["DEFAULT_MAILBOX", "Envelope", "Kind", "MailboxSpec", "Overflow", "everything"]


class Overflow(Enum):
    """What a full mailbox does with one more message."""

    REFUSE = "refuse"
    DROP_OLDEST = "drop_oldest"


def everything(_message: Any) -> bool:
    """The `sheddable` of a mailbox that drops its oldest message whatever it is."""
    return True


@dataclass(frozen=True, slots=True)
class MailboxSpec:
    """Bound and overflow behaviour of one mailbox.

    With `sheddable`, a full mailbox makes room for a sheddable message by shedding the oldest sheddable one that
    waits, and refuses any other. `DROP_OLDEST` is the same with everything sheddable. Control messages count towards
    `capacity`, are taken beyond it and are never shed. The batch that a turn has in hand no longer counts.
    `batch` messages are handled per turn before other actors, and the loop's input, get theirs.
    """

    capacity: int = 1024
    overflow: Overflow = Overflow.REFUSE
    sheddable: Callable[[Any], bool] | None = None
    batch: int = 64

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.batch < 1:
            raise ValueError("capacity and batch must be at least 1")

    def shed_rule(self) -> Callable[[Any], bool] | None:
        """Which messages may be shed; None if none."""
        if self.overflow is Overflow.DROP_OLDEST:
            return everything
        return self.sheddable


DEFAULT_MAILBOX = MailboxSpec()


class Kind(Enum):
    """Why an item is wrapped."""

    ASK = "ask"
    CONTROL = "control"  # never shed
    TERMINATED = "terminated"  # only delivered while its watch stands
    FAILURE = "failure"  # `message` is the error that a child escalated


class Envelope:
    """A mailbox item that is more than a plain message."""

    __slots__ = ("kind", "message", "reply")

    def __init__(self, message: Any, kind: Kind, reply: Reply | None = None) -> None:
        self.message = message
        self.kind = kind
        self.reply = reply
