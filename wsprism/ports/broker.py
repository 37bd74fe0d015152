"""What the rooms of one tenant need of the nodes that share them: a ``Broker``. A gateway in one process has none.

It is callbacks and never waits: a call is answered exactly once, in a later turn of the loop, by a value. What became
of a call whose answer was lost is found out behind the port; until then there is no answer, and once there is one it is
the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from wsprism.policy.history import HistoryBounds, Position
from wsprism.ports.ordered import Ordered
from wsprism.ports.presence import PresenceBroker
from wsprism.ports.unavailable import Unavailable
from wsprism.ports.values import ValuesBroker

__all__ = [
    "Batch",
    "Broker",
    "Draft",
    "RoomListener",
    "Subscription",
    "Window",
    "WindowItem",
]


class Draft(NamedTuple):
    """A publication without its place in the order. ``payload`` is its room's business.

    ``id`` is its publisher's name of it, unique in the room: within what is kept a second one is not published again.
    """

    payload: bytes
    id: str | None = None


class Batch(NamedTuple):
    """Publications with one place behind the other, from the offset ``first`` on. None: the room has begun anew."""

    epoch: str
    first: int
    payloads: Sequence[bytes]


class WindowItem(NamedTuple):
    """A publication that is kept; ``age_s`` by the one clock of all nodes."""

    offset: int
    age_s: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """Where a room stands, and what is kept of it behind where it was asked from: ``items`` end with ``top``.

    What is older than the bounds allow is not in it, and of a part of it nothing is left out.
    """

    epoch: str
    top: int
    items: Sequence[WindowItem]


class RoomListener(Protocol):
    """A room, as the broker tells it what comes. No method waits, raises, or calls the broker before it returns."""

    def subscribed(self) -> None:
        """From here on every batch of the room comes, in its order, until ``lost``."""
        ...

    def ordered(self, batch: Batch) -> None:
        """The next of what was published, this node's own included; before or behind the answer of ``publish``."""
        ...

    def hot(self, frames: Sequence[bytes]) -> None:
        """Hot frames that another node has handed on. They have no place in any order."""
        ...

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        """A session has this entry of presence from here on, on whichever node; None: it is present no more."""
        ...

    def lost(self) -> None:
        """Batches may be missing from here on. ``subscribed`` follows once it can; unless it was closed meanwhile."""
        ...


class Subscription(Protocol):
    """A room's listening, while this node has members in it."""

    @property
    def others(self) -> bool:
        """Whether another node may have members there too. True where it is not known."""
        ...

    def close(self) -> None:
        """Nothing is told any more, from this moment on. Idempotent."""
        ...


class Broker(PresenceBroker, ValuesBroker, Protocol):
    """What nodes tell each other about one tenant's rooms: their one order, what is kept of it, who is present, and the
    values that members share.

    ``bounds`` are a room's history; None: it counts its publications and keeps none. A room's epoch changes exactly
    when its count cannot go on: it was never seen before, it was purged or evicted, its time was over, or acknowledged
    publications may have been lost.
    """

    @property
    def away(self) -> bool:
        """Whether calls are refused now."""
        ...

    def configure(self, max_rooms: int, max_bytes: int) -> None:
        """Bound all that is kept of the tenant's rooms; beyond, a history goes whole."""
        ...

    def publish(
        self,
        room: str,
        drafts: Sequence[Draft],
        bounds: HistoryBounds | None,
        done: Callable[[Ordered | Unavailable], object],
    ) -> None:
        """Put a turn into the order, in one step, with nothing in between; then every subscriber gets it as a batch.

        Turns of one room that are handed over one after the other stand in the order so. ``Unavailable``: it is not in
        the log and will not be. While an outcome is not known ``done`` is not called; a turn is in the log once at
        most, also when it had to be sent again. At least one draft; no bound of its own beyond what waits in bytes.
        """
        ...

    def publish_hot(self, room: str, frames: Sequence[bytes]) -> None:
        """Hand frames on to the other nodes with members there, or to nobody: they are never kept, nor awaited."""
        ...

    def subscribe(self, room: str, bounds: HistoryBounds | None, listener: RoomListener) -> Subscription:
        """Listen to a room, and keep it from ending while this node has members in it.

        ``subscribed`` or, within the broker's deadline, ``lost`` is told in a later turn; after ``lost`` the broker
        goes on trying. It looks at times whether what it has handed on is where the room stands, and says ``lost`` and
        ``subscribed`` where it is not. After a close the room may be subscribed again at once, by another listener.
        """
        ...

    def read(
        self,
        room: str,
        since: Position | None,
        bounds: HistoryBounds | None,
        done: Callable[[Window | Unavailable], object],
    ) -> None:
        """Where the room stands and what is kept behind ``since`` (None, or of another epoch: all that is kept).

        A room that nobody has seen before is begun. The answer stands exactly between the batches before and behind it:
        a listener of this node has been told all up to ``Window.top`` that it is told at all, and nothing beyond.
        """
        ...

    def purge(self, room: str, bounds: HistoryBounds | None, done: Callable[[Position | Unavailable], object]) -> None:
        """Forget what is kept and begin a new epoch; subscribers get an empty batch of it."""
        ...
