"""One tenant's ``Broker`` on Redis: its node has the connection, the scripts have the order."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.call_line import Call
from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.entries import RoomEntries
from wsprism.adapters.redis.framing import framed
from wsprism.adapters.redis.large_reads import LargeReads, why_not
from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.room_calls import Change, Purge, Turn
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.subscriptions import Hears, RoomSubscription, Subscriptions
from wsprism.adapters.redis.tenant_calls import CallsNode, TenantCalls, next_number
from wsprism.adapters.redis.value_reads import read_values
from wsprism.policy.history import HistoryBounds, Position
from wsprism.policy.values import ValueChange, ValueDenial
from wsprism.ports import Draft, EntryPage, Ordered, RoomListener, Unavailable, Values, Window, WindowItem

__all__ = ["BrokerNode", "RedisBroker"]

_EPOCH_BYTES: Final = 9
_EVERYTHING: Final = 1_000_000


class BrokerNode(CallsNode, Protocol):
    """What a broker needs of its node."""

    survives: int
    channels: dict[bytes, Hears]
    """Who listens to which, over all tenants."""
    reads: LargeReads


class RedisBroker(TenantCalls[BrokerNode]):
    """The port, and what its subscriptions need."""

    def __init__(self, node: BrokerNode, prefix: bytes) -> None:
        super().__init__(node, prefix)
        self.held_as = 0
        """The incarnation that the node has a lease as, for this tenant."""
        self.control_at = 0
        """Where the stream of what every node is to hear stood when it took that lease."""
        self.subscriptions = Subscriptions(self)
        self.presence = RoomEntries(self)
        self.reads = node.reads
        self.max_histories = 10_000
        self.max_history_bytes = 67_108_864
        self._turns = 0

    # The port

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
        self._turns = next_number()
        arguments: list[Word] = [self._node.incarnation, self._turns, room, self.new_epoch(), self.survives]
        if bounds is None:
            packed = framed([draft.payload for draft in drafts])
            arguments += (len(drafts), packed)
            self._add(room, Turn(arguments, len(drafts), len(packed), False, done))
            return
        arguments += (bounds.max_messages, bounds.max_bytes, int(bounds.ttl_s * 1000))
        arguments += (self.max_histories, self.max_history_bytes)
        size_bytes = 0
        for draft in drafts:
            size_bytes += len(draft.payload)
            arguments += (draft.id or "", draft.payload)
        self._add(room, Turn(arguments, len(drafts), size_bytes, True, done))

    def change_value(
        self,
        room: str,
        payload: bytes,
        change: ValueChange,
        bounds: HistoryBounds | None,
        done: Callable[[Ordered | ValueDenial | Unavailable], object],
    ) -> None:
        arguments: list[Word] = [self._node.incarnation, next_number(), room, self.new_epoch(), self.survives]
        if bounds is None:
            arguments += (1, payload)
        else:
            arguments += (bounds.max_messages, bounds.max_bytes, int(bounds.ttl_s * 1000))
            arguments += (self.max_histories, self.max_history_bytes, "", payload)
        data, expected, of = change.data or b"", change.if_version, change.bounds
        arguments += (change.service, change.key, change.user, data, "" if expected is None else expected)
        arguments += (of.max_keys, of.max_bytes, change.max_bytes_together)
        self._add(room, Change(arguments, len(payload) + len(data), bounds is not None, done))

    def read_values(
        self, room: str, service: str | None, key: str | None, done: Callable[[Values | Unavailable], object]
    ) -> None:
        read_values(self, room, service, key, done)

    def publish_hot(self, room: str, frames: Sequence[bytes]) -> None:
        if self.connection is not None:
            message = framed([b"H", b"%d" % self._node.incarnation, *frames])
            self.connection.say("SPUBLISH", self.channel(room), message, answered=_ignored)

    def subscribe(self, room: str, bounds: HistoryBounds | None, listener: RoomListener) -> RoomSubscription:  # noqa: ARG002
        return self.subscriptions.open(room, listener)

    def read(
        self,
        room: str,
        since: Position | None,
        bounds: HistoryBounds | None,
        done: Callable[[Window | Unavailable], object],
    ) -> None:
        items: list[WindowItem] = []
        which, ttl_ms = script("read"), 0 if bounds is None else int(bounds.ttl_s * 1000)
        limit = 0 if bounds is None else _EVERYTHING

        def answered(answer: Any) -> None:
            if not (isinstance(answer, list) and answer[0] == b"OK"):
                done(why_not(self, which, answer))
                return
            _, epoch, top, _, now_ms, *words = answer
            page = _items(words, int(now_ms))
            if items and not (page and page[0].offset == items[-1].offset + 1):
                items.clear()  # what stands before is kept no more
            items.extend(page)
            if items and items[-1].offset < int(top):  # a history comes in pages
                ask(epoch, items[-1].offset)
                return
            subscription = self.subscriptions.by_room.get(room)
            if subscription is not None and subscription.live:
                subscription.last = epoch, int(top)
            done(Window(epoch.decode(), int(top), items))

        def ask(epoch: Word, offset: Word) -> None:
            arguments = (room, self.survives, ttl_ms, offset, limit, 0, self.new_epoch(), epoch)
            if limit:
                self.reads.ask(self, which, arguments, answered)
                return
            refused = self.call(which, arguments, answered)
            if refused is not None:
                self.later(lambda: answered(refused))

        if since is None:
            ask("", "")
        else:
            ask(since.epoch, since.offset)

    def purge(self, room: str, bounds: HistoryBounds | None, done: Callable[[Position | Unavailable], object]) -> None:  # noqa: ARG002
        self._turns = next_number()
        epoch = self.new_epoch()
        arguments = (self._node.incarnation, self._turns, room, epoch, self.survives)
        self._add(room, Purge(arguments, epoch, done))

    def put_entry(self, room: str, user: str, sid: str, entry: bytes) -> None:
        self.presence.say(room, user, sid, entry)

    def remove_entry(self, room: str, user: str, sid: str) -> None:
        self.presence.say(room, user, sid, b"")

    def list_entries(self, room: str, cursor: str, done: Callable[[EntryPage | Unavailable], object]) -> None:
        self.presence.list(room, cursor, done)

    # What its node tells

    def up(self, line: RedisConnection) -> None:
        """There is a connection, and the node's lease holds."""
        self.connection = line
        self._send_lines()
        self.presence.say_owed()
        self.subscriptions.up()

    def down(self) -> None:
        """It is lost. What was sent and has no answer is asked about over the next one."""
        self.connection = None
        self._give_up_unsent()
        self.subscriptions.down()

    def look(self) -> None:
        """From time to time: whether something was missed, or could not be said."""
        self.presence.say_owed()
        self.subscriptions.look()
        self.subscriptions.ask_again()

    # What its parts need

    def last_unsent(self, room: str) -> Call | None:
        """What stands at the end of a room's line, if it was not sent yet."""
        line = self._lines.get(room)
        return None if line is None else line.last_unsent()

    def unsent(self, room: str) -> Sequence[Call]:
        """What stands in a room's line and was not sent yet."""
        line = self._lines.get(room)
        return () if line is None else line.unsent()

    def add_unbounded(self, room: str, what: Call) -> None:
        """Behind what is done to the room already."""
        self._add_unbounded(room, what)

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


def _items(items: Sequence[bytes], now_ms: int) -> list[WindowItem]:
    triples = zip(items[::3], items[1::3], items[2::3], strict=True)
    return [WindowItem(int(offset), max(0, now_ms - int(at)) / 1000, payload) for offset, at, payload in triples]


def _ignored(_: object) -> None:
    """Nobody is told."""
