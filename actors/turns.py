"""The mailbox of an actor and the turns that drain it: the hot half of a cell.

Owns the queue, its bound, asks and the batch in hand; decides nothing about failures and stopping, which `Cell` (the
other half) does. An idle one holds an empty list: no task, no handle, no timer.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, assert_never

from actors.actor import Actor
from actors.errors import ActorFailedError, ActorStoppedError, MailboxFullError
from actors.mailbox import Envelope, Kind, MailboxSpec
from actors.messages import DEFERRED, DeadLetterReason
from actors.ref import ActorRef
from actors.reply import Reply

if TYPE_CHECKING:
    from actors.messages import Terminated
    from actors.statistics import Counters
    from actors.system import ActorSystem

__all__ = ["NOBODY", "State", "Turns"]


class State(Enum):
    """Where an actor stands; messages are queued in the first two and handled in the first."""

    RUNNING = "running"
    RESTARTING = "restarting"  # also while it waits for its back-off
    STOPPING = "stopping"
    STOPPED = "stopped"


_RUNNING: Final[State] = State.RUNNING
NOBODY: Final = Actor()
_NOTHING: Final[Iterator[Any]] = iter(())


class Turns(ActorRef):
    """An actor's address with its queue and its turns.

    `_scheduled` means that a wake-up is not wanted: the cell stands in the system's ready queue, has a turn, or does
    not run. `_busy` is set while a turn or a winding-down is on the stack.
    """

    __slots__ = (
        "_actor",
        "_batch",
        "_busy",
        "_capacity",
        "_counters",
        "_flushes",
        "_hand",
        "_queue",
        "_ready",
        "_scheduled",
        "_shed_from",
        "_sheddable",
        "_state",
        "reply_to",
        "system",
    )

    def __init__(self, system: ActorSystem, spec: MailboxSpec) -> None:
        self.system = system
        self.reply_to: Reply | None = None
        self._state = _RUNNING
        self._actor: Actor = NOBODY
        self._flushes = False
        self._queue: list[Any] = []
        self._hand = _NOTHING
        self._capacity = spec.capacity
        self._batch = spec.batch
        self._sheddable: Callable[[Any], bool] | None = spec.shed_rule()
        self._shed_from = 0  # nothing before this position of the queue is sheddable
        self._scheduled = False
        self._busy = False
        self._ready: list[Turns] = system.ready
        self._counters: Counters = system.counters

    @property
    def alive(self) -> bool:
        return self._state is State.RUNNING or self._state is State.RESTARTING

    @property
    def pending(self) -> int:
        return len(self._queue)

    def tell(self, message: Any) -> bool:
        queue = self._queue
        if len(queue) >= self._capacity:
            return self._overflow(message)
        queue.append(message)
        if not self._scheduled:
            self._scheduled = True
            ready = self._ready
            if not ready:
                self.system.arm()
            ready.append(self)
        return True

    def tell_control(self, message: Any) -> bool:
        return self._push(message if self._sheddable is None else Envelope(message, Kind.CONTROL))

    def deliver(self, messages: list[Any]) -> int:
        if not self._scheduled and not self._queue and len(messages) <= self._capacity:
            self._scheduled = True
            self._queue = messages
            self._turn()
            return len(messages)
        if not self.alive:
            return 0
        queued = self._scheduled
        self._scheduled = True
        queue = self._queue
        taken = min(len(messages), max(0, self._capacity - len(queue)))
        queue.extend(messages[:taken])
        if self._state is _RUNNING and not self._busy:
            self._turn(queued)
        return taken

    def deliver_control(self, message: Any) -> bool:
        if not self.alive:
            return self._overflow(message)
        queued = self._scheduled
        self._scheduled = True
        self._push(message if self._sheddable is None else Envelope(message, Kind.CONTROL))
        if self._state is _RUNNING and not self._busy:
            self._turn(queued)
        return True

    async def ask(self, message: Any, timeout_s: float) -> Any:
        if not self.alive:
            self.system.dead_letter(self, message, DeadLetterReason.STOPPED)
            raise ActorStoppedError(self.path)
        reply = Reply(self, asyncio.get_running_loop().create_future())
        self.tell(Envelope(message, Kind.ASK, reply))
        timer = self.system.scheduler.call_later(timeout_s, reply.expire, timeout_s)
        try:
            return await reply.future
        finally:
            timer.cancel()

    def _push(self, item: Any) -> bool:
        if not self.alive:
            return self._overflow(item)
        self._queue.append(item)
        if not self._scheduled:
            self._wake()
        return True

    def _wake(self) -> None:
        self._scheduled = True
        if not self._ready:
            self.system.arm()
        self._ready.append(self)

    def _overflow(self, item: Any) -> bool:
        """Settle what one more item does to a mailbox that is full or dead; returns whether it was taken."""
        if not self.alive:
            self._bury(item, DeadLetterReason.STOPPED)
            return False
        if self._may_shed(item):
            queue = self._queue
            for index in range(self._shed_from, len(queue)):
                if self._may_shed(queue[index]):
                    self._shed_from = index
                    shed = queue.pop(index)
                    queue.append(item)
                    self._bury(shed, DeadLetterReason.SHED)
                    return True
            self._shed_from = len(queue)
        self._bury(item, DeadLetterReason.REFUSED)
        return False

    def _may_shed(self, item: Any) -> bool:
        if self._sheddable is None:
            return False
        if item.__class__ is Envelope:
            return item.kind is Kind.ASK and self._sheddable(item.message)
        return self._sheddable(item)

    def _bury(self, item: Any, reason: DeadLetterReason) -> None:
        """Count an item that will not be handled, and end its ask."""
        if item.__class__ is not Envelope:
            self.system.dead_letter(self, item, reason)
            return
        if item.kind is Kind.ASK or item.kind is Kind.CONTROL:
            self.system.dead_letter(self, item.message, reason)
        if item.reply is not None:
            stopped = reason is DeadLetterReason.UNHANDLED
            item.reply.abandon(ActorStoppedError(self.path) if stopped else MailboxFullError(self.path))

    def _turn(self, queued: bool = False) -> None:
        """Handle up to a batch. `queued`: the cell stands in the ready queue besides, and is left there."""
        if self._state is not _RUNNING:
            return
        queue = self._queue
        if not queue:
            self._scheduled = queued
            return
        count = len(queue)
        if count > self._batch:
            count = self._batch
            hand = iter(queue[:count])
            del queue[:count]
            self._shed_from = max(0, self._shed_from - count)
        else:
            hand = iter(queue)
            self._queue = []
            self._shed_from = 0
        self._hand = hand
        self._busy = True
        actor = self._actor
        error: BaseException | None = None
        flushes = self._flushes
        try:
            for message in hand:
                if type(message) is Envelope:
                    self._open(message, actor)
                else:
                    actor.receive(message)
            if flushes:
                flushes = False
                actor.after_turn()
        except BaseException as raised:
            error = self._flush(raised) if flushes else raised
        self._busy = False
        counters = self._counters
        counters.turns += 1
        counters.messages += count
        if error is not None:
            self._break_off(error, queued)
            return
        self._hand = _NOTHING
        if self._state is not _RUNNING:
            self._settle()
        elif not queued:
            if self._queue:
                self._wake()
            else:
                self._scheduled = False

    def _flush(self, error: BaseException) -> BaseException:
        """Run `after_turn` behind an error, which is the one that counts unless the second is more than that."""
        try:
            self._actor.after_turn()
        except BaseException as raised:
            if not isinstance(raised, Exception):
                return raised
            self.system.report_failure(self, raised)
        return error

    def _break_off(self, error: BaseException, queued: bool) -> None:
        """End a turn in which something was raised: what is left of the batch goes back to the front."""
        rest = list(self._hand)
        self._counters.messages -= len(rest)
        self._queue[:0] = rest
        self._shed_from = 0
        if isinstance(error, Exception):
            self._fail(error)
        if self._state is _RUNNING:
            if not queued:
                self._wake()
        else:
            self._settle()
        if not isinstance(error, Exception):
            raise error

    def _open(self, envelope: Envelope, actor: Actor) -> None:
        """Handle an item that is more than a plain message."""
        match envelope.kind:
            case Kind.ASK:
                assert envelope.reply is not None
                self._answer(envelope.message, envelope.reply, actor)
            case Kind.CONTROL:
                actor.receive(envelope.message)
            case Kind.TERMINATED:
                if self._awaits(envelope.message):
                    actor.receive(envelope.message)
            case Kind.FAILURE:
                raise envelope.message
            case _ as never:
                assert_never(never)

    def _answer(self, message: Any, reply: Reply, actor: Actor) -> None:
        if not reply.waiting:
            self.system.dead_letter(self, message, DeadLetterReason.ASK_EXPIRED)
            return
        self.reply_to = reply
        try:
            value = actor.receive(message)
        except BaseException as error:
            failure = ActorFailedError(self.path)
            failure.__cause__ = error
            reply.abandon(failure)
            raise
        finally:
            self.reply_to = None
        if reply.future.done():
            return
        if value is DEFERRED:
            self._defer(reply)
        else:
            reply.answer(value)

    @abstractmethod
    def _awaits(self, terminated: Terminated) -> bool:
        """Whether the watch that `terminated` answers still stands; it ends here."""

    @abstractmethod
    def _defer(self, reply: Reply) -> None:
        """Keep `reply`, so that it fails at the latest when this instance ends."""

    @abstractmethod
    def _fail(self, error: Exception) -> None:
        """Have the supervisor decide about this instance. Never called while busy."""

    @abstractmethod
    def _settle(self) -> None:
        """Go on with a stop or restart that was put off because the cell was busy."""
