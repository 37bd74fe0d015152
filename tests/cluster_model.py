"""Several nodes and the Redis between them, in memory: what its scripts do, and all that can come late or be lost.

``ModelRedis`` is the truth. Each node has one connection to it, a ``ModelBroker``: commands go there in their order,
and answers and pushes come back in theirs, each when the test says so (``redis_does``, ``node_hears``). A connection
may be lost with what is on its way; what became of a publication is found out when it is back, as the port demands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.testing import ManualScheduler
from tests.realtime_support import Peer, World
from wsprism.adapters.memory.mirror import MirrorStore
from wsprism.policy.history import History, HistoryBounds, Position
from wsprism.ports import Batch, Draft, Ordered, RoomListener, Unavailable, Window, WindowItem

__all__ = ["Cluster", "ModelBroker", "ModelRedis"]

_KEEPS_NOTHING = HistoryBounds(0, 0, 1e9, 0)


class _Room:
    def __init__(self, epoch: str, bounds: HistoryBounds | None, now: float) -> None:
        self.history: History[bytes] = History(epoch, bounds or _KEEPS_NOTHING, now)


@dataclass
class ModelRedis:
    """``log`` has everything that was ever ordered: room, epoch, offset, payload."""

    now: Callable[[], float]
    rooms: dict[str, _Room] = field(default_factory=dict)
    nodes: list[ModelBroker] = field(default_factory=list)
    log: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    epochs: int = 0

    def room(self, name: str, bounds: HistoryBounds | None) -> History[bytes]:
        if name not in self.rooms:
            self.rooms[name] = _Room(self.new_epoch(), bounds, self.now())
        history = self.rooms[name].history
        history.bounds = bounds or _KEEPS_NOTHING
        history.expire(self.now())
        return history

    def new_epoch(self) -> str:
        self.epochs += 1
        return f"epoch-{self.epochs}"

    def publish(self, name: str, drafts: Sequence[Draft], bounds: HistoryBounds | None) -> Ordered:
        history = self.room(name, bounds)
        first, offsets, fresh = history.top + 1, [], []
        for draft in drafts:
            known = None if draft.id is None else history.offset_of(draft.id)
            if known is None:
                known = history.append(draft.payload, len(draft.payload), self.now(), draft.id)
                self.log.append((name, history.epoch, known, draft.payload))
                fresh.append(draft.payload)
            offsets.append(known)
        if fresh:
            self.push(name, Batch(history.epoch, first, fresh))
        return Ordered(history.epoch, first, offsets)

    def read(self, name: str, since: Position | None, bounds: HistoryBounds | None) -> Window:
        history = self.room(name, bounds)
        behind = since.offset if since is not None and since.epoch == history.epoch else 0
        items = [
            WindowItem(offset, self.now() - at, payload) for offset, at, payload in history.after(behind, 1_000_000)
        ]
        return Window(history.epoch, history.top, items)

    def begin_anew(self, name: str, bounds: HistoryBounds | None) -> Position:
        self.rooms.pop(name, None)
        history = self.room(name, bounds)
        self.push(name, Batch(history.epoch, 1, ()))
        return history.position

    def flush_all(self) -> None:
        """As FLUSHALL: nobody is told."""
        self.rooms.clear()

    def push(self, name: str, batch: Batch) -> None:
        for node in self.nodes:
            if name in node.channels:
                node.come_back(lambda node=node: node.tell(name, lambda one: one.ordered(batch)), push=True)  # type: ignore[misc]


class _Subscription:
    def __init__(self, node: ModelBroker, room: str, bounds: HistoryBounds | None, listener: RoomListener) -> None:
        self.node = node
        self.room = room
        self.bounds = bounds
        self.listener = listener

    @property
    def others(self) -> bool:
        return any(self.room in one.channels for one in self.node.redis.nodes if one is not self.node)

    def close(self) -> None:
        if self.node.listening.get(self.room) is self:
            del self.node.listening[self.room]
            self.node.say(lambda: self.node.channels.discard(self.room))


class ModelBroker:
    """One node's ``Broker``, and its connection."""

    def __init__(self, redis: ModelRedis) -> None:
        self.redis = redis
        self.away = False
        self.channels: set[str] = set()
        self.listening: dict[str, _Subscription] = {}
        self._to_redis: deque[Callable[[], object]] = deque()
        self._to_node: deque[tuple[Callable[[], object], bool, bool]] = deque()
        self._unresolved: list[_Publication] = []
        self._asked: list[Callable[[Any], object]] = []
        redis.nodes.append(self)

    # The port

    def configure(self, max_rooms: int, max_bytes: int) -> None:
        """The model keeps all."""

    def publish(
        self, room: str, drafts: Sequence[Draft], bounds: HistoryBounds | None, done: Callable[[Any], object]
    ) -> None:
        assert drafts
        if self.away:
            self._local(lambda: done(Unavailable.AWAY))
            return
        publication = _Publication(room, list(drafts), bounds, done)
        self._unresolved.append(publication)
        self.say(lambda: self._execute(publication))

    def publish_hot(self, room: str, frames: Sequence[bytes]) -> None:
        def hand_on() -> None:
            for node in self.redis.nodes:
                if node is not self and room in node.channels:
                    node.come_back(
                        lambda node=node: node.tell(room, lambda one: one.hot(frames)),  # type: ignore[misc]
                        push=True,
                    )

        if not self.away:
            self.say(hand_on)

    def subscribe(self, room: str, bounds: HistoryBounds | None, listener: RoomListener) -> _Subscription:
        subscription = self.listening[room] = _Subscription(self, room, bounds, listener)
        if self.away:
            self._local(lambda: self.tell(room, lambda one: one.lost(), subscription))
        else:
            self._subscribe(subscription)
        return subscription

    def read(
        self,
        room: str,
        since: Position | None,
        bounds: HistoryBounds | None,
        done: Callable[[Window | Unavailable], object],
    ) -> None:
        self._ask(lambda: self.redis.read(room, since, bounds), done)

    def purge(self, room: str, bounds: HistoryBounds | None, done: Callable[[Position | Unavailable], object]) -> None:
        self._ask(lambda: self.redis.begin_anew(room, bounds), done)

    # What a test does

    @property
    def to_do(self) -> int:
        """Commands that Redis has not carried out, and what has not come back."""
        return len(self._to_redis) + len(self._to_node)

    def redis_does(self) -> bool:
        """Redis carries out the next command of this node."""
        if not self._to_redis:
            return False
        self._to_redis.popleft()()
        return True

    def node_hears(self) -> bool:
        """The next answer or push comes to the node."""
        if not self._to_node:
            return False
        self._to_node.popleft()[0]()
        return True

    def lose(self, executed: int = 0) -> None:
        """The connection is lost: of the commands on the way the first ``executed`` are still carried out."""
        if self.away:
            return
        self.away = True
        for _ in range(min(executed, len(self._to_redis))):
            self._to_redis.popleft()()
        self._to_redis.clear()
        self.channels.clear()
        self._to_node = deque(one for one in self._to_node if one[2])
        for answer in self._asked:
            self._local(lambda answer=answer: answer(Unavailable.AWAY))  # type: ignore[misc]
        for room in self.listening:
            self._tell_later(room, lambda one: one.lost())

    def come_again(self) -> None:
        """The connection is back: what became of what was on its way is found out first."""
        if not self.away:
            return
        self.away = False
        for subscription in self.listening.values():
            self._subscribe(subscription)
        unresolved, self._unresolved = self._unresolved, []
        for publication in unresolved:
            self._unresolved.append(publication)
            if publication.answer is None:
                self.say(lambda one=publication: self._execute(one))  # type: ignore[misc]
            else:
                self._local(lambda one=publication: self._resolve(one))  # type: ignore[misc]

    def lose_pushes(self) -> int:
        """Pushes that are on their way never come, and nobody knows it."""
        kept = deque(one for one in self._to_node if not one[1])
        lost = len(self._to_node) - len(kept)
        self._to_node = kept
        return lost

    def check_positions(self) -> None:
        """As the broker does at times: rooms that do not stand where their listeners were told are told so."""
        for room in list(self.listening):
            self._tell_later(room, lambda one: one.lost())
            self._tell_later(room, lambda one: one.subscribed())

    # Ways

    def say(self, command: Callable[[], object]) -> None:
        if not self.away:
            self._to_redis.append(command)

    def come_back(self, what: Callable[[], object], *, push: bool = False) -> None:
        if not self.away:
            self._to_node.append((what, push, False))

    def tell(self, room: str, what: Callable[[RoomListener], object], to: _Subscription | None = None) -> None:
        subscription = self.listening.get(room)
        if subscription is not None and (to is None or to is subscription):
            what(subscription.listener)

    def _tell_later(self, room: str, what: Callable[[RoomListener], object]) -> None:
        subscription = self.listening[room]
        self._local(lambda: self.tell(room, what, subscription))

    def _local(self, what: Callable[[], object]) -> None:
        """Known on the node itself: no connection can lose it."""
        self._to_node.append((what, False, True))

    def _subscribe(self, subscription: _Subscription) -> None:
        def command() -> None:
            self.channels.add(subscription.room)
            self.come_back(lambda: self.tell(subscription.room, lambda one: one.subscribed(), subscription))

        self.say(command)

    def _execute(self, publication: _Publication) -> None:
        answer = publication.answer = self.redis.publish(publication.room, publication.drafts, publication.bounds)
        assert answer is not None
        self.come_back(lambda: self._resolve(publication))

    def _resolve(self, publication: _Publication) -> None:
        if publication in self._unresolved:
            self._unresolved.remove(publication)
            publication.done(publication.answer)

    def _ask(self, command: Callable[[], Any], done: Callable[[Any], object]) -> None:
        if self.away:
            self._local(lambda: done(Unavailable.AWAY))
            return

        def answer(value: Any) -> None:
            if answer in self._asked:
                self._asked.remove(answer)
                done(value)

        def carry_out() -> None:
            value = command()
            self.come_back(lambda: answer(value))

        self._asked.append(answer)
        self.say(carry_out)


@dataclass(eq=False)
class _Publication:
    room: str
    drafts: list[Draft]
    bounds: HistoryBounds | None
    done: Callable[[Any], object]
    answer: Ordered | None = None


class Cluster:
    """Nodes with a tenant each, as ``World`` makes them, on one clock. ``settings`` are the tenant's."""

    def __init__(self, nodes: int = 2, **settings: Any) -> None:
        self.scheduler = ManualScheduler()
        self.redis = ModelRedis(self.scheduler.now)
        self.worlds: list[World] = []
        self.brokers: list[ModelBroker] = []
        self._settings = settings
        for _ in range(nodes):
            self.add_node()

    def add_node(self) -> World:
        """One more."""
        settings: dict[str, Any] = {
            key: dict(value) if isinstance(value, dict) else value for key, value in self._settings.items()
        }
        world = World(scheduler=self.scheduler, **settings)
        broker = ModelBroker(self.redis)
        world.tenant.share(broker, MirrorStore(self.scheduler.now))
        self.worlds.append(world)
        self.brokers.append(broker)
        return world

    def settle(self, but: Iterable[ModelBroker] = ()) -> None:
        """Everything that is on its way arrives; what ``but`` of the nodes hear waits."""
        deaf = list(but)
        self.scheduler.run_until_idle()
        while any(one.redis_does() or (one not in deaf and one.node_hears()) for one in self.brokers):
            self.scheduler.run_until_idle()

    async def connect(self, node: int, user: str, sid: str | None = None) -> Peer:
        """A client of one node; what it has heard so far is forgotten."""
        peer = await self.worlds[node].connect(user, sid)
        peer.heard()
        return peer

    async def member(self, node: int, user: str, room: str, **data: Any) -> Peer:
        """A client of one node that has joined ``room``; the answer is still to be heard."""
        peer = await self.connect(node, user)
        self.join(peer, room, **data)
        return peer

    def join(self, peer: Peer, room: str, **data: Any) -> None:
        """Join, and let everything arrive."""
        message: dict[str, Any] = {"v": 1, "svc": "room", "type": "join", "room": room}
        peer.say(message | ({"data": data} if data else {}))
        self.settle()

    def failures(self) -> list[Exception]:
        """Of all actors."""
        return [one for world in self.worlds for one in world.failures]

    async def stop(self) -> None:
        """Nothing may have failed, and no actor is left."""
        assert not self.failures(), self.failures()
        for world in self.worlds:
            await world.system.stop(1.0)
