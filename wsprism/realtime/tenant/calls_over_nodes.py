"""What a tenant does for its backend where other nodes share it: from any node, as if there were one.

Who is ended, or put out of a room, is so in the registry first. What is to be done where sessions are (to send, to
join) is asked of every node, as is all that concerns a room of one node; what they have done adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actors import DEFERRED
from wsprism.ports import RoomCounts, SessionFilter, Unavailable
from wsprism.realtime.messages import HotPublication
from wsprism.realtime.tenant.backend_messages import (
    AmbiguousSid,
    CountForBackend,
    DisconnectForBackend,
    JoinForBackend,
    PublishForBackend,
    PublishToRooms,
    RemoveForBackend,
    SendForBackend,
    Who,
)
from wsprism.realtime.tenant.histories import PublishedAt
from wsprism.realtime.tenant.node_questions import Question, add_up, answer_to, question_from, question_of
from wsprism.realtime.tenant.over_nodes import refusal_of

if TYPE_CHECKING:
    from wsprism.ports import Answer, Listed, ListedSession, Registry, SessionKey
    from wsprism.realtime.slices import Asked
    from wsprism.realtime.tenant.actor import Tenant
    from wsprism.realtime.tenant.backend import BackendCalls

__all__ = ["AskedByNode", "CallsOverNodes", "answer_node"]

_PATIENCE_S: Final = 3.0
"""A node that is silent for so long does not count in what was sent and joined; it does so when it can."""

_AT_ONCE: Final = 200
"""Sessions that one step of the registry ends, or puts out of a room."""

_Done = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class AskedByNode:
    """To the tenant: what a node, this or another one, asks all of them. ``answer`` None: nobody waits for it."""

    body: bytes
    answer: Answer | None


class _Then:
    """Waits for what this node answers to itself."""

    waiting = True

    def __init__(self, then: _Done) -> None:
        self._then = then

    def answer(self, value: Any) -> bool:
        self._then(value)
        return True


def answer_node(tenant: Tenant, message: AskedByNode) -> None:
    """Do it for the sessions and rooms of this node."""
    say = message.answer or (lambda _: None)
    question = question_from(message.body, tenant.tenant.rules) if message.body else None
    if question is None:
        tenant.slices.begin((), len, lambda _: say(b""))  # behind all that is done in slices now
        return

    def then(value: object) -> None:
        say(answer_to(question, value))

    value = tenant.backend.carry_out(question, _Then(then))
    if value is not DEFERRED:
        then(value)


class CallsOverNodes:
    """One tenant actor's."""

    def __init__(self, tenant: Tenant, registry: Registry) -> None:
        self._tenant = tenant
        self._registry = registry

    def receive(self, message: object, here: BackendCalls) -> object:
        """Carry out one message; what it returns answers the ask. ``here`` does what concerns this node alone."""
        reply = self._tenant.context.reply_to
        if reply is None:
            return self._without_answer(message, here)
        _CALLS[type(message)](self, message, partial(_answer, reply), here)
        return DEFERRED

    def _without_answer(self, message: object, here: BackendCalls) -> object:
        """What a service sends to a user: where no other node can be told, to the sessions of this one."""
        if not isinstance(message, SendForBackend):
            return here.carry_out(message)
        body, ref = question_of(message), self._tenant.context.ref

        def refused() -> None:
            ref.tell_control(AskedByNode(body, None))

        if not all(isinstance(one, HotPublication) for one in message.publications):
            self._registry.tell(body, refused)
        elif not self._registry.cast(body):
            refused()
        return None

    # Asked of every node

    def _send(self, message: SendForBackend, done: _Done, _: BackendCalls) -> None:
        self._ask(message, done)

    def _count(self, message: CountForBackend, done: _Done, _: BackendCalls) -> None:
        def add(sessions: int, users: dict[str, int]) -> int:
            message.users.append(users.get(message.room, 0))
            return sessions

        self._ask(message, done, add)

    def _ask(
        self, message: Question, done: _Done, count: Callable[[int, Any], object] = lambda number, _: number
    ) -> None:
        def answered(answers: Sequence[bytes] | Unavailable) -> None:
            if isinstance(answers, Unavailable):
                done(refusal_of(answers))
                return
            found = add_up(answers)
            done(count(*found) if isinstance(found, tuple) else found)

        self._registry.ask(question_of(message), answered, _PATIENCE_S)

    # Sessions

    def _join(self, message: JoinForBackend, done: _Done, _: BackendCalls) -> None:
        self._named(message.who, done, lambda who: self._ask(replace(message, who=who), done))

    def _remove(self, message: RemoveForBackend, done: _Done, _: BackendCalls) -> None:
        def remove(who: Who) -> None:
            if self._lives_here(message.room):
                self._ask(replace(message, who=who), done)
                return
            put_out = partial(self._put_out_of, message.room)
            self._each(SessionFilter(who.user, who.sid, message.room), put_out, done)

        self._named(message.who, done, remove)

    def _disconnect(self, message: DisconnectForBackend, done: _Done, _: BackendCalls) -> None:
        def end(keys: Sequence[SessionKey], done: _Done) -> None:
            self._registry.end(keys, message.code, message.reason, done)

        if message.who is not None:
            self._named(message.who, done, lambda who: self._each(SessionFilter(who.user, who.sid), end, done))
        elif self._lives_here(message.room or ""):
            self._ask(message, done)
        else:
            self._each(SessionFilter(room=message.room), end, done)

    def _put_out_of(self, room: str, keys: Sequence[SessionKey], done: _Done) -> None:
        self._registry.put_out(keys, room, done)

    def _named(self, who: Who, done: _Done, then: Callable[[Who], object]) -> None:
        """``then`` is given whom the backend means, by user. A sid that several users have names nobody."""
        if who.user is not None:
            then(who)
            return
        users: set[str] = set()

        def listed(page: Listed[ListedSession] | Unavailable) -> None:
            if isinstance(page, Unavailable):
                done(refusal_of(page))
                return
            users.update(one.key.user for one in page.items)
            if len(users) > 1:
                done(AmbiguousSid())
            elif page.behind is not None:
                ask(page.behind)
            elif users:
                then(Who(users.pop(), who.sid))
            else:
                done(0)

        def ask(after: int) -> None:
            self._registry.list_sessions(SessionFilter(sid=who.sid), after, 2, listed)

        ask(0)

    def _each(self, which: SessionFilter, act: Callable[[Sequence[SessionKey], _Done], object], done: _Done) -> None:
        """``act`` on all of these sessions, some at a time; ``done`` is given the sum, or why none of it was done."""
        total = 0

        def listed(page: Listed[ListedSession] | Unavailable) -> None:
            if isinstance(page, Unavailable):
                done(total or refusal_of(page))
                return

            def acted(count: int | Unavailable) -> None:
                nonlocal total
                if isinstance(count, Unavailable):
                    done(total or refusal_of(count))
                    return
                total += count
                if page.behind is None:
                    done(total)
                else:
                    ask(page.behind)

            if page.items:
                act([one.key for one in page.items], acted)
            else:
                acted(0)

        def ask(after: int) -> None:
            self._registry.list_sessions(which, after, _AT_ONCE, listed)

        ask(0)

    # Rooms

    def _publish(self, message: PublishForBackend, done: _Done, here: BackendCalls) -> None:
        room = message.room
        if self._lives_here(room):
            there = PublishToRooms({room: message.publications}, {})
            self._ask(there, done, lambda _, counts: PublishedAt(counts.get(room, 0), None))
            return

        def published(value: Any, counts: Sequence[RoomCounts] | None) -> None:
            if counts is not None and isinstance(value, PublishedAt):
                value = PublishedAt(counts[0].sessions, value.offset)
            done(value)

        self._counted([room], partial(self._here, message, here), published)

    def _publish_to_rooms(self, message: PublishToRooms, done: _Done, here: BackendCalls) -> None:
        ordered = {room: some for room, some in message.rooms.items() if not self._lives_here(room)}
        there = {room: some for room, some in message.rooms.items() if room not in ordered}

        def add(_: int, counts: dict[str, int]) -> int:
            message.members.update({room: counts.get(room, 0) for room in there})
            return len(message.rooms)

        def published(value: Any, counts: Sequence[RoomCounts] | None) -> None:
            if not isinstance(value, int):
                done(value)
                return
            if counts is not None:
                message.members.update(zip(ordered, (one.sessions for one in counts), strict=True))
            if there:
                self._ask(PublishToRooms(there, {}), done, add)
            else:
                done(value)

        if ordered:
            self._counted(list(ordered), partial(self._here, PublishToRooms(ordered, message.members), here), published)
        else:
            self._ask(PublishToRooms(there, {}), done, add)

    def _here(self, message: object, here: BackendCalls, done: _Done) -> None:
        value = here.carry_out(message, _Then(done))
        if value is not DEFERRED:
            done(value)

    def _counted(
        self,
        rooms: Sequence[str],
        act: Callable[[_Done], object],
        done: Callable[[Any, Sequence[RoomCounts] | None], object],
    ) -> None:
        """``act``, and count who is in ``rooms`` at the same time; None: they could not be counted."""
        found: list[Any] = []

        def counted(counts: Sequence[RoomCounts] | Unavailable) -> None:
            found.append(None if isinstance(counts, Unavailable) else counts)
            finish()

        def acted(value: Any) -> None:
            found.insert(0, (value,))
            finish()

        def finish() -> None:
            if len(found) == 2:
                done(found[0][0], found[1])

        self._registry.counts(rooms, counted)
        act(acted)

    def _lives_here(self, room: str) -> bool:
        return self._tenant.tenant.broker_of(room) is None


def _answer(reply: Asked, value: Any) -> None:
    if reply.waiting:
        reply.answer(value)


_CALLS: Final[dict[type, Callable[[CallsOverNodes, Any, _Done, BackendCalls], object]]] = {
    CountForBackend: CallsOverNodes._count,
    DisconnectForBackend: CallsOverNodes._disconnect,
    JoinForBackend: CallsOverNodes._join,
    PublishForBackend: CallsOverNodes._publish,
    PublishToRooms: CallsOverNodes._publish_to_rooms,
    RemoveForBackend: CallsOverNodes._remove,
    SendForBackend: CallsOverNodes._send,
}
