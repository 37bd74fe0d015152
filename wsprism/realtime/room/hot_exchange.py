"""Hot frames of a room over nodes: what its members say goes to other nodes once a tick, and what is said there comes.

Where the room keeps a snapshot, a node tells the others whose last session has left it, so that they forget what that
user has said, as this one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.realtime.room.hot_out import HotOut
from wsprism.realtime.room.inbox import size_of
from wsprism.realtime.room.remote import UserGone, frame_from
from wsprism.realtime.room.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wsprism.ports import Broker, Subscription
    from wsprism.realtime.messages import HotPublication
    from wsprism.realtime.room.cluster import ClusterRoom

__all__ = ["HOT_TICK_S", "HotExchange", "HotTick"]

HOT_TICK_S: Final = 0.01


class HotTick:
    """To the room: other nodes are to have what has gathered."""


class HotExchange:
    """``subscription`` is the room's, and says whether there is anybody to tell."""

    def __init__(self, room: ClusterRoom, broker: Broker) -> None:
        self.subscription: Subscription | None = None
        self._room = room
        self._broker = broker
        self._out = HotOut()
        self._told = False

    def gather(self, publications: Iterable[HotPublication], most: int) -> None:
        """The newest of each key for the other nodes, up to ``most``."""
        if self._has_others():
            for publication in publications:
                self._out.add(publication, most)
            self._ask_for_tick()

    def tell_gone(self, user: str) -> None:
        """Nobody of ``user`` is in the room on this node any more."""
        if self._has_others():
            self._out.add_gone(user)
            self._ask_for_tick()

    def tick(self) -> None:
        """It is time."""
        self._told = False
        frames = self._out.take(self._room.context.ref)
        if frames:
            self._broker.publish_hot(self._room.name, frames)

    def hear(self, frames: Sequence[bytes]) -> None:
        """What another node has handed on goes into the line."""
        room = self._room
        rules, inbox = room.tenant.rules, room.inbox
        for payload in frames:
            said = frame_from(payload, rules, room.name, inbox.number)
            if isinstance(said, UserGone):
                self._forget(said.user)
            elif said is not None:
                room.add_hot(said)
                inbox.waiting += 1
                inbox.waiting_bytes += size_of(said)

    def _forget(self, user: str) -> None:
        room = self._room

        def forget() -> None:
            if user not in room.users:
                room.snapshot.forget(user)

        if room.snapshot.rules is not None:
            room.add_step(Step(forget, 1))

    def _has_others(self) -> bool:
        return self.subscription is not None and self.subscription.others

    def _ask_for_tick(self) -> None:
        if not self._told:
            self._told = True
            self._room.context.call_later(HOT_TICK_S, HotTick())
