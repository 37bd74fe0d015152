"""Several nodes and the Redis between them, in memory: what its scripts do, and all that can come late or be lost.

``ModelRedis`` is the truth. Each node has one connection to it, a ``ModelBroker``: commands go there in their order,
and answers and pushes come back in theirs, each when the test says so (``redis_does``, ``node_hears``). A connection
may be lost with what is on its way; what became of a publication is found out when it is back, as the port demands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from actors.testing import ManualScheduler
from tests.realtime_support import Peer, World
from wsprism.adapters.memory.mirror import MirrorStore
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.history import History, HistoryBounds, Position
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import Revocable, Revocation
from wsprism.policy.sessions import Deny, EvictReason, SessionPolicy
from wsprism.policy.values import RoomValues, ValueChange, ValueDenial, ValueTable
from wsprism.ports import (
    Batch,
    Claim,
    Departed,
    Draft,
    EntryPage,
    KeyTaken,
    Listed,
    ListedRoom,
    ListedSession,
    LostMember,
    LostSession,
    Opened,
    Ordered,
    PresenceEntry,
    RegistryListener,
    RoomCounts,
    RoomListener,
    SessionFilter,
    SessionKey,
    SessionOpening,
    Unavailable,
    Values,
    Window,
    WindowItem,
)
from wsprism.protocol.codes import ErrorCode

__all__ = ["Cluster", "MakeCluster", "ModelBroker", "ModelRedis"]

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
    sessions: dict[tuple[str, str], tuple[SessionKey, ModelRegistry]] = field(default_factory=dict)
    members: dict[str, set[SessionKey]] = field(default_factory=dict)
    revoked: set[tuple[Revocable, str]] = field(default_factory=set)
    registries: list[ModelRegistry] = field(default_factory=list)
    generations: int = 0
    present: dict[str, dict[tuple[str, str], tuple[ModelBroker, bytes]]] = field(default_factory=dict)
    values: ValueTable = field(default_factory=ValueTable)
    listeners: dict[str, set[ModelBroker]] = field(default_factory=dict)
    abouts: dict[SessionKey, bytes] = field(default_factory=dict)
    tickets: dict[bytes, bytes] = field(default_factory=dict)
    keys: dict[bytes, tuple[bytes, bytes | None]] = field(default_factory=dict)

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

    def change_value(
        self, name: str, node: ModelBroker, payload: bytes, change: ValueChange, bounds: HistoryBounds | None
    ) -> Ordered | ValueDenial | Unavailable:
        if node not in self.listeners.get(name, ()):
            return Unavailable.AWAY
        denial = self.values.denial(name, change)
        if denial is not None:
            return denial
        version = self.values.change(name, change.service, change.key, change.data, change.user)
        ordered = self.publish(name, [Draft(payload + msgspec.msgpack.encode(version))], bounds)
        return replace(ordered, version=version)

    def read_values(self, name: str, service: str | None, key: str | None) -> Values:
        answer: dict[str, RoomValues] = {}
        for each, kept in self.values.of_room(name).items():
            if service in (None, each):
                answer[each] = RoomValues(kept.version)
                for one, value in kept.entries.items():
                    if key in (None, one):
                        answer[each].add(one, value)
        return answer

    def exit(self, name: str, node: ModelBroker) -> None:
        """The node listens no more; with the last one the room's values are gone."""
        some = self.listeners.get(name, set())
        some.discard(node)
        if not some:
            self.values.drop(name)

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

    def next_generation(self) -> int:
        self.generations += 1
        return self.generations

    def session_of(self, key: SessionKey) -> SessionKey | None:
        """None: it is counted no more."""
        found = self.sessions.get(key[:2])
        return key if found is not None and found[0] == key else None

    def counts(self, room: str) -> RoomCounts:
        some = self.members.get(room, set())
        return RoomCounts(len({one.user for one in some}), len(some))

    def rooms_of(self, key: SessionKey) -> list[str]:
        return [room for room, some in self.members.items() if key in some]

    def put_entry(self, name: str, node: ModelBroker, key: tuple[str, str], entry: bytes) -> None:
        """``entry`` b"": it is present no more."""
        here = self.present.setdefault(name, {})
        owner, before = here.get(key, (None, None))
        if entry:
            here[key] = node, entry
        elif owner is node:
            del here[key]
        if (entry and before != entry) or (not entry and owner is node):
            self.tell(name, lambda one: one.present(*key, entry or None))

    def reap_entries(self, node: ModelBroker) -> None:
        """The node is dead: what it had put goes."""
        for name, here in self.present.items():
            for key in [key for key, (owner, _) in here.items() if owner is node]:
                self.put_entry(name, node, key, b"")

    def flush_all(self) -> None:
        """As FLUSHALL: nobody is told."""
        self.rooms.clear()
        self.present.clear()
        self.values = ValueTable()

    def push(self, name: str, batch: Batch) -> None:
        self.tell(name, lambda one: one.ordered(batch))

    def tell(self, name: str, what: Callable[[RoomListener], object]) -> None:
        for node in self.nodes:
            if name in node.channels:
                node.come_back(lambda node=node: node.tell(name, what), push=True)  # type: ignore[misc]


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
            self.node.say(self._leave)

    def _leave(self) -> None:
        self.node.channels.discard(self.room)
        self.node.redis.exit(self.room, self.node)


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
        self._words: list[_Word] = []
        self.registry: ModelRegistry | None = None
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

    def change_value(
        self,
        room: str,
        payload: bytes,
        change: ValueChange,
        bounds: HistoryBounds | None,
        done: Callable[[Any], object],
    ) -> None:
        if self.away:
            self._local(lambda: done(Unavailable.AWAY))
            return
        one = _Publication(room, [Draft(payload)], bounds, done, change)
        self._unresolved.append(one)
        self.say(lambda: self._execute(one))

    def read_values(
        self, room: str, service: str | None, key: str | None, done: Callable[[Values | Unavailable], object]
    ) -> None:
        self.ask(lambda: self.redis.read_values(room, service, key), done)

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
        self.ask(lambda: self.redis.read(room, since, bounds), done)

    def purge(self, room: str, bounds: HistoryBounds | None, done: Callable[[Position | Unavailable], object]) -> None:
        self.ask(lambda: self.redis.begin_anew(room, bounds), done)

    def put_entry(self, room: str, user: str, sid: str, entry: bytes) -> None:
        self._say_entry(_Word(room, (user, sid), entry))

    def remove_entry(self, room: str, user: str, sid: str) -> None:
        self._say_entry(_Word(room, (user, sid), b""))

    def list_entries(self, room: str, cursor: str, done: Callable[[EntryPage | Unavailable], object]) -> None:
        """A page is of two."""

        def page() -> EntryPage:
            here = self.redis.present.get(room, {})
            keys = [key for key in sorted(here) if not cursor or key >= tuple(cursor.split("/"))]
            entries = [PresenceEntry(*key, here[key][1]) for key in keys[:2]]
            return EntryPage(entries, "/".join(keys[2]) if keys[2:] else "")

        self.ask(page, done)

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
        if self.registry is not None:
            self.registry.count_no_more()

    def come_again(self) -> None:
        """The connection is back: what became of what was on its way is found out first."""
        if not self.away:
            return
        self.away = False
        for room in self.redis.listeners.keys() - self.listening.keys():
            self.redis.exit(room, self)
        if self.registry is not None:
            self.registry.pay()
        for word in list(self._words):
            self._send_word(word)
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
        for room in [one for one in self.listening if one in self.channels]:
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
            self.redis.listeners.setdefault(subscription.room, set()).add(self)
            self.come_back(lambda: self.tell(subscription.room, lambda one: one.subscribed(), subscription))

        self.say(command)

    def _say_entry(self, word: _Word) -> None:
        """It is owed until it was answered."""
        self._words.append(word)
        self._send_word(word)

    def _send_word(self, word: _Word) -> None:
        def carry_out() -> None:
            self.redis.put_entry(word.room, self, word.key, word.entry)
            self.come_back(lambda: self._words.remove(word) if word in self._words else None)

        self.say(carry_out)

    def _execute(self, publication: _Publication) -> None:
        room, drafts, bounds, change = publication.room, publication.drafts, publication.bounds, publication.change
        if change is None:
            publication.answer = self.redis.publish(room, drafts, bounds)
        else:
            publication.answer = self.redis.change_value(room, self, drafts[0].payload, change, bounds)
        self.come_back(lambda: self._resolve(publication))

    def _resolve(self, publication: _Publication) -> None:
        if publication in self._unresolved:
            self._unresolved.remove(publication)
            publication.done(publication.answer)

    def ask(self, command: Callable[[], Any], done: Callable[[Any], object]) -> None:
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
    change: ValueChange | None = None
    answer: Ordered | ValueDenial | Unavailable | None = None


@dataclass(eq=False)
class _Word:
    """Of one entry of presence; b"": it is gone."""

    room: str
    key: tuple[str, str]
    entry: bytes


@dataclass(eq=False)
class _Call:
    command: Callable[[], Any]
    done: Callable[[Any], object]
    carried_out: bool = False
    answer: Any = None
    departs: bool = False
    """It is owed, and who is told what it leaves is so at once or never."""


class ModelRegistry:
    """One node's ``Registry``, over the connection of its broker; what became of a call is found out later."""

    def __init__(self, broker: ModelBroker) -> None:
        self.listener: RegistryListener | None = None
        self.redis = broker.redis
        self._broker = broker
        self._calls: list[_Call] = []
        self._stream: deque[Callable[[RegistryListener], object]] = deque()
        """What this node has not heard yet. ``_reads``: it is asked for, behind what has no answer yet."""
        self._reads = False
        broker.redis.registries.append(self)

    def open(
        self, opening: SessionOpening, limits: Limits, policy: SessionPolicy, done: Callable[[Any], object]
    ) -> None:
        self._call(lambda: self._open(opening, limits, policy), done)

    def next_generation(self, done: Callable[[Any], object]) -> None:
        self._call(self.redis.next_generation, done)

    def keep_ticket(self, name: bytes, owner: bytes, ttl_s: float, most: int, done: Callable[[Any], object]) -> None:  # noqa: ARG002
        def carry_out() -> bool:
            kept = len(self.redis.tickets) < most
            if kept:
                self.redis.tickets[name] = owner
            return kept

        self._call(carry_out, done)

    def take_ticket(self, name: bytes, done: Callable[[Any], object]) -> None:
        self._call(lambda: self.redis.tickets.pop(name, b""), done)

    def claim(self, name: bytes, digest: bytes, ttl_s: float, done: Callable[[Any], object]) -> None:  # noqa: ARG002
        def carry_out() -> Claim | KeyTaken:
            if name in self.redis.keys:
                return KeyTaken(*self.redis.keys[name])
            self.redis.keys[name] = digest, None
            return Claim(name, 1, 1)

        self._call(carry_out, done)

    def settle(self, claim: Claim, answer: bytes, ttl_s: float) -> None:  # noqa: ARG002
        def carry_out() -> None:
            digest, _ = self.redis.keys.pop(claim.name)
            if answer:
                self.redis.keys[claim.name] = digest, answer

        self._depart(carry_out)

    def describe(self, key: SessionKey, about: bytes) -> None:
        def carry_out() -> None:
            if self.redis.session_of(key) is not None:
                self.redis.abouts[key] = about

        self._depart(carry_out)

    def close(
        self, key: SessionKey, rooms: Sequence[str] = (), counted: Callable[[Departed | None], object] | None = None
    ) -> None:
        def carry_out() -> Departed:
            self._remove(key)
            of_user = [one for one, _ in self.redis.sessions.values() if one.user == key.user]
            return Departed(len(of_user), {room: self.redis.counts(room) for room in rooms})

        self._depart(carry_out, counted)

    def join(self, key: SessionKey, room: str, limits: Limits, done: Callable[[Any], object]) -> None:
        self._call(lambda: self._join(key, room, limits), done)

    def leave(self, key: SessionKey, room: str, counted: Callable[[RoomCounts | None], object] | None = None) -> None:
        def carry_out() -> RoomCounts:
            self.redis.members.get(room, set()).discard(key)
            return self.redis.counts(room)

        self._depart(carry_out, counted)

    def revoke(
        self,
        what: Revocable,
        name: str,
        until_s: float,
        reason: str,  # noqa: ARG002
        done: Callable[[Any], object],
    ) -> None:
        def carry_out() -> int:
            redis = self.redis
            was = (what, name) in redis.revoked
            (redis.revoked.add if until_s else redis.revoked.discard)((what, name))
            meant = [key for key, _ in redis.sessions.values() if what is Revocable.USER and key.user == name]
            for key in meant if until_s else ():
                self._remove(key)
            for one in redis.registries:
                one.say(lambda listener: listener.revoked(what, name, until_s))
            return len(meant) if until_s else int(was)

        self._call(carry_out, lambda count: self._in_force(count, done))

    def counts(self, rooms: Sequence[str], done: Callable[[Any], object]) -> None:
        self._call(lambda: [self.redis.counts(room) for room in rooms], done)

    def end(self, keys: Sequence[SessionKey], code: int, reason: str, done: Callable[[Any], object]) -> None:
        def carry_out() -> int:
            meant = [self.redis.sessions[key[:2]] for key in keys if self.redis.session_of(key) is not None]
            for key, registry in meant:
                self._remove(key)
                registry.say(lambda listener, key=key: listener.ended(key, code, reason))  # type: ignore[misc]
            return len(meant)

        self._call(carry_out, lambda count: self._in_force(count, done))

    def put_out(self, keys: Sequence[SessionKey], room: str, done: Callable[[Any], object]) -> None:
        def carry_out() -> int:
            members = self.redis.members.get(room, set())
            meant = [key for key in keys if key in members]
            for key in meant:
                members.discard(key)
                registry = self.redis.sessions[key[:2]][1]
                registry.say(lambda listener, key=key: listener.put_out(key, room))  # type: ignore[misc]
            return len(meant)

        self._call(carry_out, lambda count: self._in_force(count, done))

    def _in_force(self, count: int | Unavailable, done: Callable[[Any], object]) -> None:
        if isinstance(count, Unavailable):
            done(count)
        else:
            self.ask(b"", lambda _: done(count))

    def ask(self, body: bytes, done: Callable[[Any], object], patience_s: float | None = None) -> None:  # noqa: ARG002
        registries, answers = list(self.redis.registries), list[bytes]()

        def answer(body: bytes) -> None:
            answers.append(body)
            if len(answers) == len(registries):
                self.say(lambda _: done(answers))

        def carry_out() -> None:
            for one in registries:
                one.say(lambda listener, one=one: listener.asked(body, one.answer_with(answer)))  # type: ignore[misc]

        self._call(carry_out, lambda refused: done(refused) if refused is not None else None)

    def answer_with(self, answer: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """Behind all that this node has on its way."""
        return lambda body: self._depart(lambda: answer(body))

    def tell(self, body: bytes, refused: Callable[[], object]) -> None:
        def told(answer: Unavailable | None) -> None:
            if answer is not None:
                refused()

        def carry_out() -> None:
            for one in self.redis.registries:
                one.say(lambda listener: listener.asked(body, None))

        self._call(carry_out, told)

    def cast(self, body: bytes) -> bool:
        for one in self.redis.registries:
            one.cast_here(body)
        return not self._broker.away

    def cast_here(self, body: bytes) -> None:
        """Kept nowhere."""

        def told() -> None:
            assert self.listener is not None
            self.listener.asked(body, None)

        self._broker.come_back(told, push=True)

    def list_sessions(
        self,
        which: SessionFilter,
        after: int,
        limit: int,
        done: Callable[[Any], object],
        *,
        with_rooms: bool = False,  # noqa: ARG002
    ) -> None:
        def carry_out() -> Listed[ListedSession]:
            keys = sorted((key for key, _ in self.redis.sessions.values()), key=lambda key: key.generation)
            meant = [key for key in keys if key.generation > after and self._covers(which, key)]
            items = [ListedSession(key, 0.0, self.redis.abouts[key], self.redis.rooms_of(key)) for key in meant[:limit]]
            return Listed(items, items[-1].key.generation if len(meant) > limit else None)

        self._call(carry_out, done)

    def _covers(self, which: SessionFilter, key: SessionKey) -> bool:
        in_room = which.room is None or key in self.redis.members.get(which.room, ())
        return in_room and which.user in (None, key.user) and which.sid in (None, key.sid)

    def list_rooms(self, after: int, limit: int, done: Callable[[Any], object]) -> None:
        def carry_out() -> Listed[ListedRoom]:
            rooms = [room for room, some in self.redis.members.items() if some]
            some = [ListedRoom(room, number, self.redis.counts(room)) for number, room in enumerate(rooms, 1)]
            return Listed(some[after : after + limit], after + limit if len(some) > after + limit else None)

        self._call(carry_out, done)

    def not_in(self, members: Sequence[tuple[SessionKey, str]], done: Callable[[Any], object]) -> None:
        def carry_out() -> list[int]:
            places = enumerate(members)
            return [place for place, (key, room) in places if key not in self.redis.members.get(room, ())]

        self._call(carry_out, done)

    def list_revocations(self, after: int, limit: int, done: Callable[[Any], object]) -> None:
        def carry_out() -> Listed[Revocation]:
            names = sorted(self.redis.revoked)[after : after + limit]
            found = [Revocation(what, name, 4e9, "") for what, name in names]
            return Listed(found, after + limit if len(self.redis.revoked) > after + limit else None)

        self._call(carry_out, done)

    def pay(self) -> None:
        """Connected again: what has no answer yet is asked once more, and carried out once."""
        for call in list(self._calls):
            self._send(call)
        self._reads = True
        self._broker.say(self._read_stream)

    def reap(self) -> None:
        """Others take this node for dead, and clean up after it: what it has not heard is nobody's business."""
        self._stream.clear()
        lost: list[LostMember | LostSession] = []
        for key, registry in list(self.redis.sessions.values()):
            if registry is self:
                about, rooms = self.redis.abouts[key], self.redis.rooms_of(key)
                self._remove(key)
                lost += [LostMember(key, about, room, self.redis.counts(room)) for room in rooms]
                left = sum(one.user == key.user for one, _ in self.redis.sessions.values())
                lost.append(LostSession(key, about, 0, left))
        other = next((one for one in self.redis.registries if one is not self), None)
        if other is not None and other.listener is not None and other.listener.wants_lost:
            other.listener.lost(lost)

    def fence(self) -> None:
        """It hears that it was taken for dead."""
        self.say(lambda listener: listener.fenced())

    def say(self, what: Callable[[RegistryListener], object]) -> None:
        """It stands in the stream that every node follows: who could not hear it reads it."""
        self._stream.append(what)
        if not self._reads:
            self._broker.come_back(self._hear_next)

    def _read_stream(self) -> None:
        self._reads = False
        for _ in self._stream:
            self._broker.come_back(self._hear_next)

    def _hear_next(self) -> None:
        if self._stream:
            what = self._stream.popleft()
            assert self.listener is not None
            what(self.listener)

    def _call(self, command: Callable[[], Any], done: Callable[[Any], object]) -> None:
        if self._broker.away:
            self._broker.ask(command, done)  # refused
        else:
            self._calls.append(_Call(command, done))
            self._send(self._calls[-1])

    def _depart(self, command: Callable[[], Any], counted: Callable[[Any], object] | None = None) -> None:
        """It is owed while there is nobody to tell: ``counted`` is not told what it leaves then."""
        call = _Call(command, counted or (lambda _: None), departs=True)
        self._calls.append(call)
        if self._broker.away:
            self._tell_unknown(call)
        self._send(call)

    def count_no_more(self) -> None:
        """The connection was lost."""
        for call in self._calls:
            if call.departs:
                self._tell_unknown(call)

    def _tell_unknown(self, call: _Call) -> None:
        done, call.done = call.done, lambda _: None
        done(None)

    def _send(self, call: _Call) -> None:
        def carry_out() -> None:
            if not call.carried_out:
                call.carried_out, call.answer = True, call.command()
            self._broker.come_back(lambda: self._resolve(call))

        self._broker.say(carry_out)

    def _resolve(self, call: _Call) -> None:
        if call in self._calls:
            self._calls.remove(call)
            call.done(call.answer)

    def _open(self, opening: SessionOpening, limits: Limits, policy: SessionPolicy) -> Opened | Denied | EvictReason:
        redis, user = self.redis, opening.user
        sid = opening.sid or f"sid-{redis.generations}"
        if (Revocable.USER, user) in redis.revoked:
            return Denied(Reason.REVOKED, ErrorCode.AUTH_FAILED)
        of_user = {key.sid: key for key, _ in redis.sessions.values() if key.user == user}
        of_user = dict(sorted(of_user.items(), key=lambda one: one[1].generation))
        other, own = of_user.get(sid), opening.generation or 0
        if opening.was_there and other is not None:
            if other.generation > own:
                return EvictReason.REPLACED
            if other.generation == own:
                self._remove(of_user.pop(sid))
        verdict = policy.decide(of_user, sid)
        if isinstance(verdict, Deny):
            return verdict.denied
        if opening.was_there and any(of_user[old].generation > own for old, _ in verdict.evict):
            return EvictReason.KICKED_OLDEST
        full = limits.may_open_session(len(redis.sessions) - len(verdict.evict))
        if full is not None:
            return full
        replaced = [(of_user[old], reason.value) for old, reason in verdict.evict]
        for key, reason in replaced:
            registry = redis.sessions[key.user, key.sid][1]
            self._remove(key)
            if registry is not self:
                registry.say(lambda one, key=key, reason=reason: one.end(key, reason))  # type: ignore[misc]
        new = SessionKey(user, sid, opening.generation or redis.next_generation())
        redis.sessions[user, sid] = new, self
        redis.abouts[new] = opening.about
        return Opened(new, replaced)

    def _join(self, key: SessionKey, room: str, limits: Limits) -> RoomCounts | Denied | Unavailable:
        redis = self.redis
        if redis.sessions.get((key.user, key.sid), (None, None))[0] != key:
            return Unavailable.AWAY
        of_user = {name for name, some in redis.members.items() if any(one.user == key.user for one in some)}
        denied = limits.may_join(
            rooms_total=sum(bool(some) for some in redis.members.values()),
            room_exists=bool(redis.members.get(room)),
            users_in_room=len({one.user for one in redis.members.get(room, ())}),
            user_in_room=room in of_user,
            rooms_of_user=len(of_user),
        )
        if denied is not None:
            return denied
        redis.members.setdefault(room, set()).add(key)
        return redis.counts(room)

    def _remove(self, key: SessionKey) -> None:
        redis = self.redis
        if redis.sessions.get((key.user, key.sid), (None, None))[0] == key:
            del redis.sessions[key.user, key.sid]
            for some in redis.members.values():
                some.discard(key)


class Cluster:
    """Nodes with a tenant each, as ``World`` makes them, on one clock. ``settings`` are the tenant's.

    ``registry``: they count their sessions and memberships together.
    """

    def __init__(self, nodes: int = 2, *, registry: bool = False, **settings: Any) -> None:
        self._has_registry = registry
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
        broker = ModelBroker(self.redis)
        registry = ModelRegistry(broker) if self._has_registry else None
        broker.registry = registry
        mirror = MirrorStore(self.scheduler.now)
        world = World(
            scheduler=self.scheduler, prepare=lambda tenant: tenant.share(broker, mirror, registry), **settings
        )
        self.worlds.append(world)
        self.brokers.append(broker)
        return world

    def settle(self, but: Iterable[ModelBroker] = ()) -> None:
        """Everything that is on its way arrives; what ``but`` of the nodes hear waits."""
        deaf = list(but)
        self.scheduler.run_until_idle()
        while any(one.redis_does() or (one not in deaf and one.node_hears()) for one in self.brokers):
            self.scheduler.run_until_idle()

    async def ask(self, node: int, question: object) -> Any:
        """What a node's tenant answers, when everything that it takes has arrived."""
        answer = asyncio.ensure_future(self.worlds[node].tenant.ref.ask(question, 5.0))
        await asyncio.sleep(0)
        self.settle()
        return await answer

    async def open(self, node: int, user: str, sid: str | None = None) -> Peer | Denied:
        """A client of one node, or why there is none; everything arrives."""
        world = self.worlds[node]
        opening = asyncio.ensure_future(world.ask(user, sid))
        for _ in range(3):
            await asyncio.sleep(0)
            self.settle()
        answer = await opening
        return answer if isinstance(answer, Denied) else world.attach(answer.session)

    async def connect(self, node: int, user: str, sid: str | None = None) -> Peer:
        """A client of one node; what it has heard so far is forgotten."""
        peer = await self.open(node, user, sid)
        assert isinstance(peer, Peer), peer
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


MakeCluster = Callable[..., Cluster]
