"""An actor system: the root of one tree of actors, its ready queue and its counters.

Owns the queue of actors that have something to do, which one callback of the scheduler drains; top-level spawning,
ordered stop, dead letters and statistics. Made by the composition root of a program; knows nothing of what it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from actors.actor import Actor
from actors.cell import Cell
from actors.messages import DeadLetter, DeadLetterReason
from actors.scheduler import LoopScheduler, Scheduler
from actors.statistics import Counters, SystemStatistics

if TYPE_CHECKING:
    from actors.mailbox import MailboxSpec
    from actors.ref import ActorRef
    from actors.supervision import Supervision
    from actors.turns import Turns

__all__ = ["ActorSystem"]

logger = logging.getLogger("actors")


class ActorSystem:
    """A tree of actors on one event loop; not thread-safe.

    `scheduler` defaults to the running loop. `on_dead_letter` sees every undelivered message, `on_failure` every
    exception that an actor's callback raised (by default it is logged); both must be quick and not raise.
    """

    def __init__(
        self,
        scheduler: Scheduler | None = None,
        name: str = "system",
        on_dead_letter: Callable[[DeadLetter], object] | None = None,
        on_failure: Callable[[ActorRef, Exception], object] | None = None,
    ) -> None:
        self.name = name
        self.scheduler: Scheduler = scheduler or LoopScheduler(asyncio.get_running_loop())
        self.counters = Counters()
        self.ready: list[Turns] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._draining = False
        self._in_turns = False
        self._afterwards: list[Callable[[], object]] = []
        self._drain_ready: Callable[[], None] = self._drain  # made once, not with every message
        self._names = 0
        self._on_dead_letter = on_dead_letter
        self._on_failure = on_failure
        self._gone: asyncio.Future[None] | None = None
        self._guardian = Cell(self, None, name, Actor, None, None)
        self._guardian.start(Actor())

    @property
    def children(self) -> tuple[ActorRef, ...]:
        """Living top-level actors in the order of their spawning."""
        return self._guardian.children

    def spawn(
        self,
        factory: Callable[[], Actor],
        *,
        name: str | None = None,
        mailbox: MailboxSpec | None = None,
        supervision: Supervision | None = None,
    ) -> ActorRef:
        """Start a top-level actor, as `ActorContext.spawn`. One that fails beyond its supervision stops for good."""
        return self._guardian.spawn(factory, name, mailbox, supervision)

    async def stop(self, timeout_s: float) -> bool:
        """Stop all actors, children before parents, last spawned first, and wait for their cancelled tasks.

        False when a task, or an actor in its turn, did not end within `timeout_s` seconds. Repeatable.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self._guardian.stop("system stopped")
        if not self._guardian.stopped:
            self._gone = self._gone or loop.create_future()
            await asyncio.wait((self._gone,), timeout=timeout_s)
        while self.tasks and (left_s := deadline - loop.time()) > 0:
            await asyncio.wait(tuple(self.tasks), timeout=left_s)
            await asyncio.sleep(0)
        return self._guardian.stopped and not self.tasks

    def statistics(self) -> SystemStatistics:
        """A snapshot; walks all actors."""
        depth, deepest, deepest_cell = 0, 0, None
        cells = list(self._guardian.children)
        while cells:
            cell = cells.pop()
            cells.extend(cell.children)
            depth += cell.pending
            if cell.pending > deepest:
                deepest, deepest_cell = cell.pending, cell
        counters = self.counters
        return SystemStatistics(
            actors=counters.actors,
            turns=counters.turns,
            messages=counters.messages,
            failures=counters.failures,
            restarts=counters.restarts,
            escalations=counters.escalations,
            dead_letters=MappingProxyType(dict(counters.dead_letters)),
            mailbox_depth=depth,
            deepest_depth=deepest,
            deepest_path=deepest_cell.path if deepest_cell is not None else "",
        )

    def arm(self) -> None:
        """Have the ready queue drained soon. For cells, before they enter it while it is empty."""
        if not self._draining:
            self._draining = True
            self.scheduler.call_soon(self._drain_ready)

    def after_turns(self, callback: Callable[[], object]) -> None:
        """Run `callback` once the turns that are due now are over, in the same turn of the loop; soon if none is."""
        if self._in_turns:
            self._afterwards.append(callback)
        else:
            self.scheduler.call_soon(callback)

    def _drain(self) -> None:
        """One turn for everyone who is ready now; who becomes ready meanwhile waits until the loop has had its turn."""
        ready = self.ready
        due = len(ready)
        served = 0
        self._in_turns = True
        try:
            while served < due:
                turns = ready[served]
                served += 1
                turns._turn()
        finally:
            self._draining = self._in_turns = False
            if served == len(ready):
                ready.clear()
            else:
                del ready[:served]
                self.arm()
            afterwards = self._afterwards
            if afterwards:
                self._afterwards = []
                for callback in afterwards:
                    callback()

    def dead_letter(self, ref: ActorRef, message: Any, reason: DeadLetterReason) -> None:
        """Count an undelivered message and show it to the observer. For the runtime."""
        self.counters.dead_letters[reason] += 1
        if self._on_dead_letter is not None:
            try:
                self._on_dead_letter(DeadLetter(ref, message, reason))
            except Exception:
                logger.exception("the dead-letter observer failed")

    def report_failure(self, ref: ActorRef, error: Exception) -> None:
        """Count an exception of an actor and show it to the observer. For the runtime."""
        self.counters.failures += 1
        if self._on_failure is None:
            logger.error("actor %s failed", ref.path, exc_info=error)
            return
        try:
            self._on_failure(ref, error)
        except Exception:
            logger.exception("the failure observer failed")

    def guardian_gone(self) -> None:
        """Take note that the whole tree has stopped. For the root cell."""
        self.counters.actors += 1  # the root itself was never counted
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def fresh_name(self) -> str:
        """A name for an actor that was given none."""
        self._names += 1
        return f"${self._names}"
