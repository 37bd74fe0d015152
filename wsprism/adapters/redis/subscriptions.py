"""The rooms of one tenant that this node listens to: subscribing in slices, again after each loss, and what is heard.

A room is told ``subscribed`` when its channel is confirmed and Redis knows that the node listens; what comes before
that is in what it reads then. From time to time all are asked where they stand, so that nothing is missed in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.framing import unframed
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.ports import Batch, RoomListener

__all__ = ["Hears", "RoomSubscription", "Subscriptions", "SubscriptionsOwner"]

SLICE: Final = 200
"""Rooms that are subscribed to, or looked at, in one call."""


class Hears(Protocol):
    """Whoever listens to a channel."""

    def heard(self, message: bytes, incarnation: bytes) -> None:
        """Something was said there; ``incarnation`` is this node's own."""
        ...

    def unsubscribed(self) -> None:
        """Redis has ended it by itself."""
        ...


class SubscriptionsOwner(Protocol):
    """Who has the connection, which all of this is said over, and the incarnation."""

    @property
    def incarnation(self) -> int: ...
    @property
    def survives(self) -> int: ...
    @property
    def channels(self) -> dict[bytes, Hears]: ...
    @property
    def connection(self) -> RedisConnection | None: ...
    def channel(self, room: str) -> bytes: ...
    def later(self, call: Callable[[], object]) -> None:
        """In a later turn of the loop."""
        ...

    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None: ...
    def strange(self, what: str, answer: object) -> None: ...
    def fenced(self) -> None: ...


class RoomSubscription:
    """One room's listening: a ``Subscription``. ``live``: it was told so, and nothing has been lost since."""

    def __init__(self, room: str, listener: RoomListener, owner: Subscriptions) -> None:
        self.room = room
        self.listener = listener
        self.others = True
        self.closed = False
        self.asked = False
        self.live = False
        self.last: tuple[bytes, int] | None = None
        """Epoch and offset of the last that was handed on; None: it is not known."""
        self.present_at: int | None = None
        """The version of presence that was handed on last; None: nobody has asked who is there."""
        self.owner = owner

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.live = False
            self.owner.closed(self)

    def heard(self, message: bytes, incarnation: bytes) -> None:
        """Something was said in its channel."""
        if not self.live:
            return
        match unframed(message):
            case [b"T", epoch, _, _, first, *payloads] if first.isdigit() and payloads:
                self.last = epoch, int(first) + len(payloads) - 1
                self.listener.ordered(Batch(epoch.decode(errors="replace"), int(first), payloads))
            case [b"H", node, *frames]:
                if node != incarnation:
                    self.listener.hot(frames)
            case [b"P", version, user, sid, entry] if version.isdigit():
                self._hear_entry(int(version), user.decode(errors="replace"), sid.decode(errors="replace"), entry)
            case [b"N", nodes] if nodes.isdigit():
                self.others = int(nodes) > 1
            case [b"G", epoch, _]:
                self.last = epoch, 0
                self.listener.ordered(Batch(epoch.decode(errors="replace"), 1, ()))

    def _hear_entry(self, version: int, user: str, sid: str, entry: bytes) -> None:
        at = self.present_at
        if at is None or version in (0, at + 1):
            self.present_at = None if at is None else version
            self.listener.present(user, sid, entry or None)
        else:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Something is missing, or is not what it was: its listener looks again."""
        self.last = self.present_at = None
        self.listener.lost()
        self.listener.subscribed()

    def unsubscribed(self) -> None:
        """Redis has ended it by itself."""
        if self.live:
            self.lose()
            self.owner.ask(self)

    def say_away(self) -> None:
        """Nothing can be asked now."""
        if not (self.closed or self.live):
            self.listener.lost()

    def lose(self) -> None:
        """Something may be missing."""
        self.others = True
        self.last = self.present_at = None
        if self.live:
            self.live = False
            self.listener.lost()


class Subscriptions:
    """By room. ``up`` and ``down`` follow the connection."""

    def __init__(self, owner: SubscriptionsOwner) -> None:
        self._owner = owner
        self.by_room: dict[str, RoomSubscription] = {}
        self._to_ask: deque[RoomSubscription] = deque()
        self._asks = False
        self._to_leave: dict[str, None] = {}
        """Rooms that Redis may think this incarnation listens to, though it does no more."""

    def open(self, room: str, listener: RoomListener) -> RoomSubscription:
        """Listen to a room; one that was open is closed."""
        before = self.by_room.get(room)
        if before is not None:
            before.close()
        subscription = self.by_room[room] = RoomSubscription(room, listener, self)
        self._owner.channels[self._owner.channel(room)] = subscription
        if self._owner.connection is None:
            self._owner.later(subscription.say_away)
        else:
            self.ask(subscription)
        return subscription

    def closed(self, subscription: RoomSubscription) -> None:
        """It listens no more."""
        room = subscription.room
        if self.by_room.get(room) is subscription:
            del self.by_room[room]
            del self._owner.channels[self._owner.channel(room)]
        if subscription.asked:
            self._leave(room)

    def up(self) -> None:
        """There is a connection, over which nothing has been subscribed to yet."""
        for room in [one for one in self._to_leave if one not in self.by_room]:
            self._leave(room)
        self._to_ask.clear()
        self._asks = False
        for subscription in self.by_room.values():
            self.ask(subscription)

    def down(self) -> None:
        """It is lost."""
        for subscription in list(self.by_room.values()):
            subscription.asked = False
            subscription.lose()

    def forget_left(self) -> None:
        """There is a new incarnation, which listens to nothing yet."""
        self._to_leave.clear()

    def ask(self, subscription: RoomSubscription) -> None:
        """Subscribe to it, with others that are to be in the same turn."""
        self._to_ask.append(subscription)
        if not self._asks:
            self._asks = True
            self._owner.later(self._ask_slice)

    def look(self) -> None:
        """Ask Redis where the rooms stand that are live; those that stand elsewhere have missed something."""
        live = [one for one in self.by_room.values() if one.live and one.last is not None]
        for at in range(0, len(live), SLICE):
            self._look_at(live[at : at + SLICE])

    # Subscribing

    def _ask_slice(self) -> None:
        line = self._owner.connection
        some: list[RoomSubscription] = []
        while self._to_ask and len(some) < SLICE:
            subscription = self._to_ask.popleft()
            if not subscription.closed:
                some.append(subscription)
        if line is None or not some:
            self._asks = False
            return
        refused: list[Refused] = []

        def confirmed(answer: object) -> None:
            if isinstance(answer, Refused):
                refused.append(answer)

        def entered(answer: Any) -> None:
            if isinstance(answer, Unknown) or line is not self._owner.connection:
                return
            if refused or not (isinstance(answer, list) and answer[0] == b"OK" and len(answer) == len(some) + 1):
                self._not_entered(some, refused[0] if refused else answer)
                return
            for subscription, nodes in zip(some, answer[1:], strict=True):
                if not subscription.closed:
                    subscription.others = nodes > 1
                    subscription.live = True
                    subscription.listener.subscribed()
            self._ask_slice()

        for subscription in some:
            subscription.asked = True
        rooms = [one.room for one in some]
        not_said = line.subscribe("SSUBSCRIBE", [self._owner.channel(room) for room in rooms], confirmed)
        if not_said is None:
            not_said = self._owner.call(script("enter"), (self._owner.incarnation, *rooms), entered)
        if not_said is not None:
            self._not_entered(some, not_said)

    def _not_entered(self, some: Sequence[RoomSubscription], answer: object) -> None:
        """It is tried again with the next look."""
        self._asks = False
        if answer == [b"FENCED"]:
            self._owner.fenced()
            return
        self._owner.strange("enter", answer)
        for subscription in some:
            if not subscription.closed:
                subscription.asked = False
                subscription.listener.lost()

    def ask_again(self) -> None:
        """Those that could not be subscribed to."""
        if self._owner.connection is not None and not self._asks:
            for subscription in self.by_room.values():
                if not subscription.live and not subscription.asked:
                    self.ask(subscription)

    def _leave(self, room: str) -> None:
        self._to_leave[room] = None
        line = self._owner.connection
        if line is None:
            return

        def left(answer: object) -> None:
            if not isinstance(answer, Unknown | Refused):
                self._to_leave.pop(room, None)

        line.subscribe("SUNSUBSCRIBE", [self._owner.channel(room)], _ignored)
        self._owner.call(script("exit"), (self._owner.incarnation, room), left)

    # Looking whether something was missed

    def _look_at(self, some: Sequence[RoomSubscription]) -> None:
        def told(answer: Any) -> None:
            if answer == [b"FENCED"]:
                self._owner.fenced()
                return
            if not isinstance(answer, list) or answer[0] != b"OK":
                return
            for at, subscription in enumerate(some):
                epoch, top, nodes, version = answer[1 + 4 * at : 5 + 4 * at]
                if not subscription.live or subscription.last is None:
                    continue
                subscription.others = nodes > 1
                moved = subscription.present_at not in (None, int(version))
                if moved or subscription.last != (epoch, int(top)):
                    subscription.begin_anew()

        rooms = [one.room for one in some]
        self._owner.call(script("positions"), (self._owner.incarnation, self._owner.survives, *rooms), told)


def _ignored(_: object) -> None:
    """Nobody is told."""
