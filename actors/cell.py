"""The life of an actor: start, failure and restart, death watch, ordered stop.

Owns the state machine around the turns (`actors.turns`) and what an instance holds (`actors.holdings`). The system
makes the first cell, cells make the others; authors see it as `ActorRef` and through `ActorContext` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from actors.actor import Actor, ActorContext
from actors.errors import ActorFailedError, ActorStoppedError, NameTakenError, TaskCancelledError
from actors.holdings import Holdings, Timer
from actors.mailbox import DEFAULT_MAILBOX, Envelope, Kind, MailboxSpec
from actors.messages import DeadLetterReason, Terminated
from actors.supervision import Directive, RestartHistory, Supervision
from actors.turns import NOBODY, State, Turns

if TYPE_CHECKING:
    from actors.ref import ActorRef
    from actors.reply import Reply
    from actors.scheduler import Cancellable
    from actors.system import ActorSystem

__all__ = ["Cell"]

DEFAULT_SUPERVISION = Supervision()


class Cell(Turns):
    """One actor from its spawning to its end, through all its instances."""

    __slots__ = (
        "_factory",
        "_history",
        "_holdings",
        "_name",
        "_parent",
        "_reason",
        "_restart",
        "_started",
        "_supervision",
        "_watchers",
    )

    def __init__(
        self,
        system: ActorSystem,
        parent: Cell | None,
        name: str,
        factory: Callable[[], Actor],
        mailbox: MailboxSpec | None,
        supervision: Supervision | None,
    ) -> None:
        super().__init__(system, mailbox or DEFAULT_MAILBOX)
        self._name = name
        self._parent = parent
        self._factory = factory
        self._supervision = supervision or DEFAULT_SUPERVISION
        self._started = False
        self._reason = ""
        self._holdings: Holdings | None = None
        self._history: RestartHistory | None = None
        self._restart: Cancellable | None = None
        self._watchers: dict[Cell, None] | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> str:
        return self._name if self._parent is None else f"{self._parent.path}/{self._name}"

    @property
    def parent_ref(self) -> ActorRef | None:
        """The supervising actor; None at the top level."""
        parent = self._parent
        return None if parent is None or parent._parent is None else parent

    @property
    def children(self) -> tuple[Cell, ...]:
        """Children that are not gone, in the order of their spawning."""
        return () if self._holdings is None else tuple(self._holdings.children.values())

    @property
    def stopped(self) -> bool:
        """Whether it is gone for good, `on_stop` included."""
        return self._state is State.STOPPED

    # Start and children

    def spawn(
        self,
        factory: Callable[[], Actor],
        name: str | None,
        mailbox: MailboxSpec | None,
        supervision: Supervision | None,
    ) -> Cell:
        """Make and start a child."""
        if self._state is not State.RUNNING:
            raise ActorStoppedError(self.path)
        holdings = self._hold()
        if name is None:
            name = self.system.fresh_name()
        elif name in holdings.children:
            raise NameTakenError(holdings.children[name].path)
        child = Cell(self.system, self, name, factory, mailbox, supervision)
        actor = factory()
        holdings.children[name] = child
        self._counters.actors += 1
        child.start(actor)
        return child

    def start(self, actor: Actor) -> None:
        """Install an instance and run its `on_start`; messages told meanwhile wait for it."""
        actor.context = ActorContext(self)
        self._actor = actor
        self._flushes = type(actor).after_turn is not Actor.after_turn
        self._scheduled = True
        self._busy = True
        try:
            actor.on_start()
        except Exception as error:
            self._busy = False
            self._fail(error)
            return
        finally:
            self._busy = False
        self._started = True
        if self._state is not State.RUNNING:
            self._settle()
            return
        self._scheduled = False
        if self._queue:
            self._wake()

    def _hold(self) -> Holdings:
        if self._holdings is None:
            self._holdings = Holdings()
        return self._holdings

    def _child_gone(self, name: str) -> None:
        if self._holdings is not None:
            self._holdings.children.pop(name, None)
        if self._state is not State.RUNNING and not self._busy:
            self._settle()

    # Failure

    def _fail(self, error: Exception) -> None:
        if self._started:
            self._guard(self._actor.on_failure, error)
        self.system.report_failure(self, error)
        if self._state is not State.RUNNING:
            self._settle()
            return
        match self._decide(error):
            case Directive.RESUME:
                return
            case Directive.RESTART:
                delay_s = self._admit_restart()
                if delay_s is None:
                    self._escalate(error)
                else:
                    self._begin_restart(delay_s)
            case Directive.STOP:
                self.stop("failed")
            case Directive.ESCALATE:
                self._escalate(error)

    def _decide(self, error: Exception) -> Directive:
        try:
            directive = self._supervision.directive(error)
        except Exception as fault:
            self.system.report_failure(self, fault)
            return Directive.ESCALATE
        return Directive.RESTART if directive is Directive.RESUME and not self._started else directive

    def _admit_restart(self) -> float | None:
        if self._history is None:
            self._history = RestartHistory()
        return self._history.admit(self._supervision, self.system.scheduler.now())

    def _escalate(self, error: Exception) -> None:
        parent = self._parent
        self.stop("failed")
        if parent is not None:
            parent._inherit_failure(error)

    def _inherit_failure(self, error: Exception) -> None:
        """Fail with a child's error, in a turn of one's own, before anything that waits."""
        if self._parent is None:
            self._counters.escalations += 1
        elif self._state is State.RUNNING:
            self._queue.insert(0, Envelope(error, Kind.FAILURE))
            self._shed_from = 0
            if not self._scheduled:
                self._wake()

    def _begin_restart(self, delay_s: float) -> None:
        self._state = State.RESTARTING
        self._scheduled = True
        self._end_work()
        self._restart = self.system.scheduler.call_later(delay_s, self._renew)
        self._settle()

    def _renew(self) -> None:
        """Put a new instance in the failed one's place, once its children are gone."""
        self._restart = None
        if self._holdings is not None and self._holdings.children:
            return
        self._counters.restarts += 1
        self._state = State.RUNNING
        try:
            actor = self._factory()
        except Exception as error:
            self._fail(error)
            return
        self.start(actor)

    # Watches, tasks, timers, deferred answers

    def watch(self, ref: ActorRef) -> None:
        """Begin a death watch on `ref`."""
        if not isinstance(ref, Cell) or ref is self:
            raise ValueError("an actor watches other actors")
        watching = self._hold().watching
        if ref in watching:
            return
        watching[ref] = None
        if ref.stopped:
            self._push(Envelope(Terminated(ref, ref._reason), Kind.TERMINATED))
        else:
            if ref._watchers is None:
                ref._watchers = {}
            ref._watchers[self] = None

    def unwatch(self, ref: ActorRef) -> None:
        """End a death watch on `ref`, if there is one."""
        if self._holdings is not None and isinstance(ref, Cell):
            self._holdings.watching.pop(ref, None)
            if ref._watchers is not None:
                ref._watchers.pop(self, None)

    def _awaits(self, terminated: Terminated) -> bool:
        holdings = self._holdings
        if holdings is None or terminated.ref not in holdings.watching:
            return False
        assert isinstance(terminated.ref, Cell)
        del holdings.watching[terminated.ref]
        return True

    def run(
        self,
        coro: Coroutine[Any, Any, Any],
        on_result: Callable[[Any], object],
        on_error: Callable[[Exception], object],
    ) -> None:
        """Run `coro` for the present instance."""
        holdings = self._hold()
        task = self.system.scheduler.create_task(coro)
        holdings.tasks[task] = None
        self.system.tasks[task] = None

        def finish(done: asyncio.Task[Any]) -> None:
            self.system.tasks.pop(done, None)
            coro.close()
            error = None if done.cancelled() else done.exception()
            if done not in holdings.tasks:
                return
            del holdings.tasks[done]
            try:
                if done.cancelled():
                    message = on_error(TaskCancelledError(self.path))
                elif error is None:
                    message = on_result(done.result())
                elif isinstance(error, Exception):
                    message = on_error(error)
                else:
                    return
            except Exception as fault:
                self._fail(fault)
            else:
                self.tell_control(message)

        task.add_done_callback(finish)

    def call_later(self, delay_s: float, message: Any) -> Timer:
        """Tell `message` to self later, for the present instance."""
        timer = Timer(self._hold())

        def ring() -> None:
            timer.done()
            self.tell_control(message)

        timer.arm(self.system.scheduler.call_later(delay_s, ring))
        return timer

    def _defer(self, reply: Reply) -> None:
        replies = self._hold().replies
        replies[reply] = None
        reply.future.add_done_callback(lambda _done: replies.pop(reply, None))

    # Stop

    def stop(self, reason: str = "stopped") -> None:
        if not self.alive:
            return
        self._state = State.STOPPING
        self._reason = reason
        self._capacity = 0
        self._scheduled = True
        rest = [*self._hand, *self._queue]
        self._counters.messages -= len(rest) - len(self._queue)
        self._queue = []
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self._end_work()
        for item in rest:
            self._bury(item, DeadLetterReason.UNHANDLED)
        if not self._busy:
            self._settle()

    def _end_work(self) -> None:
        """End what would still tell this instance anything."""
        holdings = self._holdings
        if holdings is not None:
            holdings.cancel_work()
            for watched in holdings.watching:
                if watched._watchers is not None:
                    watched._watchers.pop(self, None)
            holdings.watching.clear()

    def _settle(self) -> None:
        """Stop the children, last spawned first; when all are gone, end the instance, and the actor if it stops."""
        holdings = self._holdings
        if holdings is not None and holdings.children:
            self._busy = True
            try:
                while holdings.children:
                    child = next(reversed(holdings.children.values()))
                    child.stop("parent stopped" if self._state is State.STOPPING else "parent restarted")
                    if not child.stopped:
                        return
            finally:
                self._busy = False
        if self._state is State.STOPPING:
            self._end_instance()
            self._terminate()
        elif self._state is State.RESTARTING:
            self._end_instance()
            if self._restart is None:
                self._renew()

    def _end_instance(self) -> None:
        """Take leave of the instance: `on_stop`, then whoever still waits for its answer."""
        if self._started:
            self._started = False
            self._busy = True
            self._guard(self._actor.on_stop)
            self._busy = False
        restarting = self._state is State.RESTARTING
        if self._holdings is not None:
            for reply in tuple(self._holdings.replies):
                reply.abandon(ActorFailedError(self.path) if restarting else ActorStoppedError(self.path))
            self._holdings = None
        self._actor = NOBODY

    def _terminate(self) -> None:
        self._state = State.STOPPED
        self._factory = Actor  # what it was made of may hold this address: the two would outlive each other
        self._counters.actors -= 1
        watchers, self._watchers = self._watchers, None
        parent = self._parent
        if parent is None:
            self.system.guardian_gone()
        else:
            parent._child_gone(self._name)
        for watcher in watchers or ():
            watcher._push(Envelope(Terminated(self, self._reason), Kind.TERMINATED))

    def _guard(self, callback: Callable[..., None], *args: object) -> None:
        """Run a callback whose failure is reported and changes nothing."""
        try:
            callback(*args)
        except Exception as error:
            self.system.report_failure(self, error)
