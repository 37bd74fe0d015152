"""Work over many of something, a slice at a time, so that the loop turns in between and nobody waits for all of it.

The one machinery for all mass work: broadcasts, disconnects, revocations, reloads, rooms to be left, a drain. Works are
done one at a time, in the order of their beginning: two broadcasts reach everybody in the same order. It does not know
what its owner is: ``again`` has it called for the next slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from actors import DEFERRED
from wsprism.realtime.messages import NextSlice

if TYPE_CHECKING:
    from actors import ActorContext, Deferred

__all__ = ["SLICE_ITEMS", "ActorSlices", "Asked", "SlicedWork"]

SLICE_ITEMS: Final = 64
"""What is done in one slice, where each costs another actor a turn in which a connection ends or a room is left."""

SLICE_S: Final = 0.001
"""What one slice may take here; what it makes others do costs some times as much."""

_STEP: Final = 16
"""So many are done between two looks at the clock."""

T = TypeVar("T")


class Asked(Protocol):
    """Whoever waits for an answer: an ask of an actor, or another node."""

    @property
    def waiting(self) -> bool: ...
    def answer(self, value: Any) -> bool: ...


class _Work:
    __slots__ = ("act", "at", "done", "items", "most", "then")

    def __init__(
        self,
        items: Sequence[Any],
        act: Callable[[Sequence[Any]], int],
        then: Callable[[int], object] | None,
        done: int,
        most: int,
    ) -> None:
        self.items = items
        self.act = act
        self.then = then
        self.done = done
        self.most = most
        self.at = 0


class SlicedWork:
    """``again`` is called at the end of a slice when there is more to do: it has ``go_on`` called soon, once."""

    def __init__(self, again: Callable[[], object], clock: Callable[[], float] = perf_counter) -> None:
        self._again = again
        self._clock = clock
        self._works: deque[_Work] = deque()
        self._goes_on = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._works

    def stop(self) -> None:
        """Do nothing of what is left."""
        self._works.clear()

    def begin(
        self,
        items: Sequence[T],
        act: Callable[[Sequence[T]], int],
        then: Callable[[int], object] | None = None,
        *,
        done: int = 0,
        most: int = SLICE_ITEMS,
    ) -> None:
        """Do ``act`` to all ``items``, which are not to change, some at a time; it returns to how many it was done.

        ``then`` is told the sum, with ``done``, once there are none left: perhaps before this returns. A slice ends
        when ``most`` were done, or by the clock.
        """
        self._works.append(_Work(items, act, then, done, most))
        if not self._goes_on and len(self._works) == 1:
            self.go_on()

    def go_on(self) -> None:
        """Do one slice."""
        self._goes_on = True  # whatever is begun within waits for its turn
        works, clock = self._works, self._clock
        until = clock() + SLICE_S
        done = 0
        full = False
        while works:
            work = works[0]
            if work.at >= len(work.items):
                works.popleft()
                if work.then is not None:
                    work.then(work.done)
            elif full:
                break
            else:
                step = min(_STEP, work.most)
                some = work.act(work.items[work.at : work.at + step])
                work.at += step
                work.done += some
                done += some
                full = done >= work.most or clock() >= until
        self._goes_on = bool(works)
        if works:
            self._again()


class ActorSlices(SlicedWork):
    """An actor's: it tells itself ``NextSlice`` for each further slice, and calls ``go_on`` then."""

    def __init__(self, context: ActorContext) -> None:
        self._context = context
        super().__init__(lambda: context.ref.tell_control(NextSlice()))

    def answer(
        self,
        items: Sequence[T],
        act: Callable[[Sequence[T]], int],
        *,
        done: int = 0,
        most: int = SLICE_ITEMS,
        reply: Asked | None = None,
    ) -> int | Deferred:
        """``begin``; ``reply``, else the ask at hand, is answered, now or later, with ``done`` and what comes to it."""
        reply = reply or self._context.reply_to
        at_once: list[int] = []
        pending = True

        def then(total: int) -> None:
            if pending:
                at_once.append(total)
            elif reply is not None:
                reply.answer(total)

        self.begin(items, act, then, done=done, most=most)
        pending = False
        return at_once[0] if at_once else DEFERRED
