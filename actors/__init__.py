"""An actor runtime for one asyncio loop: synchronous handlers, bounded mailboxes, supervision in OTP's terms.

Standard library only, and usable by any program. Start with `ActorSystem`, `Actor` and README.md; tools for tests are
in `actors.testing`.
"""

from actors.actor import Actor, ActorContext
from actors.errors import (
    ActorError,
    ActorFailedError,
    ActorStoppedError,
    AskTimeoutError,
    MailboxFullError,
    NameTakenError,
    TaskCancelledError,
)
from actors.mailbox import MailboxSpec, Overflow
from actors.messages import DEFERRED, DeadLetter, DeadLetterReason, Deferred, Terminated
from actors.ref import ActorRef
from actors.reply import Reply
from actors.scheduler import Cancellable, LoopScheduler, Scheduler
from actors.statistics import SystemStatistics
from actors.supervision import Directive, Strategy, Supervision
from actors.system import ActorSystem

__all__ = [
    "DEFERRED",
    "Actor",
    "ActorContext",
    "ActorError",
    "ActorFailedError",
    "ActorRef",
    "ActorStoppedError",
    "ActorSystem",
    "AskTimeoutError",
    "Cancellable",
    "DeadLetter",
    "DeadLetterReason",
    "Deferred",
    "Directive",
    "LoopScheduler",
    "MailboxFullError",
    "MailboxSpec",
    "NameTakenError",
    "Overflow",
    "Reply",
    "Scheduler",
    "Strategy",
    "Supervision",
    "SystemStatistics",
    "TaskCancelledError",
    "Terminated",
]
