"""What an author of actors subclasses, and what an actor may do to the world around it.

Owns `Actor` and `ActorContext`. Called by the cell; calls nothing but the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from actors.native import mypyc_attr

if TYPE_CHECKING:
    from actors.cell import Cell
    from actors.mailbox import MailboxSpec
    from actors.ref import ActorRef
    from actors.reply import Reply
    from actors.scheduler import Cancellable
    from actors.supervision import Supervision
    from actors.system import ActorSystem

__all__ = ["Actor", "ActorContext"]

T = TypeVar("T")


@mypyc_attr(allow_interpreted_subclasses=True)
class Actor:
    """State that is touched by one message at a time. Nothing here may wait.

    Each instance that started (whose `on_start` returned) gets exactly one `on_stop`, also when it is replaced after
    a failure.
    """

    __slots__ = ("context",)

    context: ActorContext

    def on_start(self) -> None:
        """Called once, before the first message, within `spawn` (or at the restart)."""

    def receive(self, message: Any) -> object:
        """Handle `message` to its end. What it returns answers an ask and is ignored for a tell."""
        raise NotImplementedError(f"{type(self).__name__}.receive")

    def after_turn(self) -> None:
        """Called after every drained batch, if overridden."""

    def on_stop(self) -> None:
        """Called once, when all children are gone; deferred asks may still be answered."""

    def on_failure(self, error: Exception) -> None:
        """Called just before the supervisor decides what becomes of this instance."""


class ActorContext:
    """An actor's own view of the runtime; for use within its callbacks only.

    Children, watches, tasks and timers belong to the instance that made them: they end when it stops and also when
    it is restarted. The mailbox is the actor's, and survives a restart.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    @property
    def ref(self) -> ActorRef:
        """This actor's own address."""
        return self._cell

    @property
    def parent(self) -> ActorRef | None:
        """The supervising actor; None at the top level."""
        return self._cell.parent_ref

    @property
    def system(self) -> ActorSystem:
        """The system that this actor lives in."""
        return self._cell.system

    @property
    def name(self) -> str:
        """Name among its siblings."""
        return self._cell.name

    @property
    def children(self) -> tuple[ActorRef, ...]:
        """Living children in the order of their spawning."""
        return self._cell.children

    @property
    def reply_to(self) -> Reply | None:
        """The answer handle of the ask being handled; None for a tell."""
        return self._cell.reply_to

    def spawn(
        self,
        factory: Callable[[], Actor],
        *,
        name: str | None = None,
        mailbox: MailboxSpec | None = None,
        supervision: Supervision | None = None,
    ) -> ActorRef:
        """Start a child. `factory` makes each of its instances; what the first call raises is raised here.

        A failing `on_start` is the supervision's business. Raises NameTakenError, ActorStoppedError.
        """
        return self._cell.spawn(factory, name, mailbox, supervision)

    def watch(self, ref: ActorRef) -> None:
        """Have `Terminated(ref, reason)` arrive once, as a message, when `ref` is gone, or if it is. Idempotent."""
        self._cell.watch(ref)

    def unwatch(self, ref: ActorRef) -> None:
        """Withdraw a watch; no `Terminated` for `ref` arrives any more, not even one that waits already."""
        self._cell.unwatch(ref)

    def run(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        on_result: Callable[[T], object],
        on_error: Callable[[Exception], object],
    ) -> None:
        """Run `coro` as a task; what `on_result` or `on_error` makes of its end is told to self.

        Exactly one message comes, unless the instance ends first, which cancels the task. A task cancelled by anybody
        else ends in `on_error(TaskCancelledError)`. An exception in the two callbacks is a failure of this actor.
        """
        self._cell.run(coro, on_result, on_error)

    def call_later(self, delay_s: float, message: Any) -> Cancellable:
        """Tell `message` to self after `delay_s` seconds."""
        return self._cell.call_later(delay_s, message)

    def stop(self) -> None:
        """Stop after the message being handled."""
        self._cell.stop()
