"""One tenant's ``Broker`` on Redis: its node has the connection, the scripts have the order."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.call_line import Call, CallLine, refusal
from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.framing import framed
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.room_calls import Purge, Turn
from wsprism.adapters.redis.scripts import Script, call, script
from wsprism.adapters.redis.subscriptions import Hears, RoomSubscription, Subscriptions
from wsprism.policy.history import HistoryBounds, Position
from wsprism.ports import Draft, Ordered, RoomListener, Unavailable, Window, WindowItem

__all__ = ["BrokerNode", "RedisBroker"]

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Of turns that have no answer yet."""

_EPOCH_BYTES: Final = 9
_EVERYTHING: Final = 1_000_000


class BrokerNode(Protocol):
    """What a broker needs of its node."""

    incarnation: int
    survives: int
    channels: dict[bytes, Hears]
    """Who listens to which, over all tenants."""

    def later(self, call: Callable[[], object]) -> None: ...
    def strange(self, what: str, answer: object) -> None: ...
    def fenced(self) -> None: ...


class RedisBroker:
    """``prefix`` is what all keys and channels of the tenant begin with."""

    def __init__(self, node: BrokerNode, prefix: bytes) -> None:
        self.prefix = prefix
        self.line: RedisConnection | None = None
        self.held_as = 0
        """The incarnation that the node has a lease as, for this tenant."""
        self.control_at = 0
        """Where the stream of what every node is to hear stood when it took that lease."""
        self.subscriptions = Subscriptions(self)
        self.max_histories = 10_000
        self.max_history_bytes = 67_108_864
        self.waiting_bytes = 0
        self._node = node
        self._lines: dict[Hashable, CallLine] = {}
        self._turns = 0

    # The port

    @property
    def away(self) -> bool:
        return self.line is None

    def configure(self, max_histories: int, max_history_bytes: int) -> None:
        """Bound all histories of the tenant: from the next turn on."""
        self.max_histories = max_histories
        self.max_history_bytes = max_history_bytes

    def publish(
        self,
        room: str,
        drafts: Sequence[Draft],
        bounds: HistoryBounds | None,
        done: Callable[[Ordered | Unavailable], object],
    ) -> None:
        self._turns += 1
        kept: tuple[int, int, int] = (0, 0, 0)
        if bounds is not None:
            kept = (bounds.max_messages, bounds.max_bytes, int(bounds.ttl_s * 1000))
        arguments: list[Word] = [self._node.incarnation, self._turns, room, self.new_epoch(), self.survives]
        arguments += [*kept, self.max_histories, self.max_history_bytes]
        size_bytes = 0
        for draft in drafts:
            size_bytes += len(draft.payload)
            arguments += (draft.id or "", draft.payload)
        self._add(room, Turn(arguments, size_bytes, done))

    def publish_hot(self, room: str, frames: Sequence[bytes]) -> None:
        if self.line is not None:
            message = framed([b"H", b"%d" % self._node.incarnation, *frames])
            self.line.say("SPUBLISH", self.channel(room), message, answered=_ignored)

    def subscribe(self, room: str, bounds: HistoryBounds | None, listener: RoomListener) -> RoomSubscription:  # noqa: ARG002
        return self.subscriptions.open(room, listener)

    def read(
        self,
        room: str,
        since: Position | None,
        bounds: HistoryBounds | None,
        done: Callable[[Window | Unavailable], object],
    ) -> None:
        def answered(answer: Any) -> None:
            if isinstance(answer, list) and answer[0] == b"OK":
                _, epoch, top, _, now_ms, *items = answer
                subscription = self.subscriptions.by_room.get(room)
                if subscription is not None and subscription.live:
                    subscription.last = epoch, int(top)
                done(Window(epoch.decode(), int(top), _items(items, int(now_ms))))
                return
            if not isinstance(answer, Unknown):
                self.strange("read", answer)
            done(refusal(answer) if isinstance(answer, Refused) else Unavailable.AWAY)

        ttl_ms = 0 if bounds is None else int(bounds.ttl_s * 1000)
        limit = 0 if bounds is None else _EVERYTHING
        epoch, offset = ("", "") if since is None else (since.epoch, since.offset)
        arguments = (room, self.survives, ttl_ms, offset, limit, 0, self.new_epoch(), epoch)
        refused = self.call(script("read"), arguments, answered)
        if refused is not None:
            why = refusal(refused)
            self.later(lambda: done(why))

    def purge(self, room: str, bounds: HistoryBounds | None, done: Callable[[Position | Unavailable], object]) -> None:  # noqa: ARG002
        epoch = self.new_epoch()
        self._add(room, Purge((room, epoch, self.survives), epoch, done))

    def _add(self, room: str, what: Call) -> None:
        """Behind what is done to the room already; never answered before the caller has returned."""
        if self.line is None or self.waiting_bytes + what.size_bytes > MAX_WAITING_BYTES:
            why = Unavailable.AWAY if self.line is None else Unavailable.OVERLOADED
            self.later(lambda: what.refuse(why))
            return
        self.waiting_bytes += what.size_bytes
        line = self._lines.get(room)
        if line is None:
            line = self._lines[room] = CallLine(room, self)
        line.add(what)

    # What its node tells

    def up(self, line: RedisConnection) -> None:
        """There is a connection, and the node's lease holds."""
        self.line = line
        for one in list(self._lines.values()):
            one.send()
        self.subscriptions.up()

    def down(self) -> None:
        """It is lost. What was sent and has no answer is asked about over the next one."""
        self.line = None
        for one in list(self._lines.values()):
            one.give_up_unsent()
        self.subscriptions.down()

    # What its parts need

    @property
    def incarnation(self) -> int:
        return self._node.incarnation

    @property
    def survives(self) -> int:
        return self._node.survives

    @property
    def channels(self) -> dict[bytes, Hears]:
        return self._node.channels

    @staticmethod
    def new_epoch() -> str:
        """A name that was never given before."""
        return secrets.token_urlsafe(_EPOCH_BYTES)

    def channel(self, room: str) -> bytes:
        """Of a room."""
        return self.prefix + b"c:" + room.encode()

    def later(self, call: Callable[[], object]) -> None:
        self._node.later(call)

    def strange(self, what: str, answer: object) -> None:
        self._node.strange(what, answer)

    def fenced(self) -> None:
        self._node.fenced()

    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None:
        if self.line is None:
            return Refused("AWAY", "there is no connection")
        return call(self.line, which, self.prefix, arguments, answered)

    def settled(self, line: CallLine, size_bytes: int) -> None:
        self.waiting_bytes -= size_bytes
        if not len(line) and self._lines.get(line.key) is line:
            del self._lines[line.key]


def _items(items: Sequence[bytes], now_ms: int) -> list[WindowItem]:
    triples = zip(items[::3], items[1::3], items[2::3], strict=True)
    return [WindowItem(int(offset), max(0, now_ms - int(at)) / 1000, payload) for offset, at, payload in triples]


def _ignored(_: object) -> None:
    """Nobody is told."""
