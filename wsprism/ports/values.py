"""Values that the members of one tenant's rooms share, over all nodes: what a ``Broker`` keeps beside publications."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from wsprism.policy.history import HistoryBounds
from wsprism.policy.values import RoomValues, ValueChange, ValueDenial
from wsprism.ports.ordered import Ordered
from wsprism.ports.unavailable import Unavailable

__all__ = ["Values", "ValuesBroker"]

Values = Mapping[str, RoomValues]
"""What services keep of one room, by their names; of those that nobody ever set anything with, nothing."""


class ValuesBroker(Protocol):
    """They are there as long as any node listens to the room, whatever becomes of its history."""

    def change_value(
        self,
        room: str,
        payload: bytes,
        change: ValueChange,
        bounds: HistoryBounds | None,
        done: Callable[[Ordered | ValueDenial | Unavailable], object],
    ) -> None:
        """Judge the change, carry it out and publish it, in one step, as ``publish`` does: in the same order.

        Behind ``payload`` stands the change's version then, as MessagePack. ``ValueDenial``, ``Unavailable``: nothing
        has changed, and nothing is in the log. Asked again, it has happened once.
        """
        ...

    def read_values(
        self, room: str, service: str | None, key: str | None, done: Callable[[Values | Unavailable], object]
    ) -> None:
        """What services keep of the room, or only ``service``, or only its ``key``.

        The answer stands between the batches before and behind it, as that of ``read``: each change that the listener
        of this node was told before is in it, and none that it is told later.
        """
        ...
