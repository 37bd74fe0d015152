"""What a tenant does for its backend: publish, send, join, remove and disconnect, trusted but within the limits.

Every check and the change that it allows are one step of the tenant actor, as for clients; what concerns many sessions
is done in slices. Knows nothing of HTTP; the tenant hands its messages in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from actors import DEFERRED
from qos import Block, Verdict
from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import ExtPublication, Publications
from wsprism.realtime.room.blocks import blocks_of, frame_of
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
from wsprism.realtime.tenant.histories import PublishedAt, to_nobody
from wsprism.realtime.tenant.over_nodes import answer_when_ordered, publish_without_members

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.ports import Broker, RoomCounts
    from wsprism.realtime.outbound.flusher import Flusher
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.session import Session
    from wsprism.realtime.slices import Asked
    from wsprism.realtime.tenant.actor import Tenant
    from wsprism.realtime.tenant.registry import RoomEntry

__all__ = ["HANDLED", "BackendCalls"]

_SENT_AT_ONCE = 128
_PUBLISHED_AT_ONCE = 256
_LOST = Denied(Reason.PUBLICATION_LOST, ErrorCode.INTERNAL, retry_after_s=1)
_OVERLOADED = Denied(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, retry_after_s=1)


class BackendCalls:
    """One per tenant actor; ``receive`` handles the messages of ``HANDLED``."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._slices = tenant.slices
        self._asked: Asked | None = None

    def receive(self, message: object) -> object:
        """Carry out one message, over all nodes where others share the tenant; what it returns answers the ask."""
        shared = self._tenant.shared
        return self.carry_out(message) if shared is None else shared.calls.receive(message, self)

    def carry_out(self, message: object, asked: Asked | None = None) -> object:
        """Carry out one message on this node; what it returns answers ``asked``, or the ask at hand."""
        self._asked = asked
        try:
            return _HANDLERS[type(message)](self, message)
        finally:
            self._asked = None

    @property
    def _reply_to(self) -> Asked | None:
        return self._asked or self._tenant.context.reply_to

    def _publish(self, message: PublishForBackend) -> int | PublishedAt | Deferred | Denied:
        registry, tenant = self._tenant.registry, self._tenant.tenant
        entry = registry.rooms.get(message.room) or registry.emptied.get(message.room)
        broker = tenant.broker_of(message.room)
        if broker is not None:
            return self._publish_over_nodes(message, entry, broker)
        if not tenant.keeps_history(message.room):
            return self._publish_plain(message, entry)
        if entry is None:
            return PublishedAt(0, to_nobody(tenant, message.room, message.publications))
        last = next((one for one in reversed(message.publications) if isinstance(one, ExtPublication)), None)
        if last is None:
            return self._publish_plain(message, entry)
        reply, members = self._reply_to, len(entry.sessions)
        last.told = None if reply is None else Told(reply, members)
        refused = self._publish_plain(message, entry)
        return refused if isinstance(refused, Denied) or reply is None else DEFERRED

    def _publish_over_nodes(
        self, message: PublishForBackend, entry: RoomEntry | None, broker: Broker
    ) -> PublishedAt | Deferred | Denied:
        """All of it in one turn of the room's order, whether or not this node has members there."""
        publications, reply = message.publications, self._reply_to
        members = 0 if entry is None else len(entry.sessions)
        ordered = any(isinstance(one, ExtPublication) for one in publications)
        if ordered and reply is not None:
            answer_when_ordered(reply, lambda offset: PublishedAt(members, offset), [publications])
        if entry is None:
            publish_without_members(self._tenant.tenant, broker, message.room, publications)
        elif not entry.inbox.publish_all(publications):
            self._tenant.tenant.counters.decisions.count(_OVERLOADED.reason)
            return _OVERLOADED
        return DEFERRED if ordered and reply is not None else PublishedAt(members, None)

    def _publish_plain(self, message: PublishForBackend, entry: RoomEntry | None) -> int | Denied:
        if entry is None:
            to_nobody(self._tenant.tenant, message.room, message.publications)
            return 0
        if not entry.inbox.publish_all(message.publications):
            self._tenant.tenant.counters.decisions.count(_OVERLOADED.reason)
            return _OVERLOADED
        return len(entry.sessions)

    def _publish_to_rooms(self, message: PublishToRooms) -> int | Deferred | Denied:
        registry, tenant = self._tenant.registry, self._tenant.tenant
        for room, publications in message.rooms.items():
            entry = registry.rooms.get(room)
            if entry is not None and not entry.inbox.takes(publications):
                tenant.counters.decisions.count(_OVERLOADED.reason)
                return _OVERLOADED

        def publish(some: Sequence[tuple[str, Publications]]) -> int:
            for room, publications in some:
                entry = registry.rooms.get(room) or registry.emptied.get(room)
                message.members[room] = len(entry.sessions) if entry is not None else 0
                broker = tenant.broker_of(room)
                if entry is not None:
                    entry.inbox.publish_taken(publications)
                elif broker is not None:
                    publish_without_members(tenant, broker, room, publications)
                else:
                    to_nobody(tenant, room, publications)
            return len(some)

        rooms = list(message.rooms.items())
        most = max(1, _PUBLISHED_AT_ONCE // len(rooms[0][1]))
        shared = [some for room, some in rooms if tenant.broker_of(room) is not None]
        reply = self._reply_to
        if reply is None or not shared:
            return self._slices.answer(rooms, publish, most=most, reply=reply)
        told = answer_when_ordered(reply, lambda _: len(rooms), shared, also=1)
        self._slices.begin(rooms, publish, lambda _: told(None), most=most)
        return DEFERRED

    def _send(self, message: SendForBackend) -> int | Deferred:
        registry = self._tenant.registry
        meant: Iterable[Session] = registry if message.user is None else registry.of_user(message.user)
        sessions = [one for one in _open(meant) if message.sid is None or one.sid == message.sid]
        deliver = _Delivery(message.publications, self._tenant.flusher)
        return self._slices.answer(sessions, deliver.offer, most=_SENT_AT_ONCE, reply=self._asked)

    def _join(self, message: JoinForBackend) -> int | Deferred | Denied | AmbiguousSid:
        sessions = self._sessions_of(message.who)
        if isinstance(sessions, AmbiguousSid):
            return sessions
        sessions = _open(sessions)
        if not sessions:
            return 0
        if not self._tenant.rooms.is_counted(sessions[0], message.room):
            return self._join_over_nodes(message, sessions)
        first, *others = sessions  # all are one user's, who counts once: the first decides
        denied = self._tenant.rooms.join(first, message.room, None, active=message.active)
        if denied is not None:
            self._tenant.tenant.counters.decisions.count(denied.reason)
            return denied

        def join(slice_: Sequence[Session]) -> int:
            still = self._tenant.still_here(slice_)
            return [self._tenant.rooms.join(one, message.room, None, active=message.active) for one in still].count(
                None
            )

        return self._slices.answer(others, join, done=1, reply=self._asked)

    def _join_over_nodes(self, message: JoinForBackend, sessions: Sequence[Session]) -> Deferred:
        """Each is counted by the registry; the answer is how many have entered, or why none has."""
        tenant, reply = self._tenant, self._reply_to
        assert tenant.shared is not None
        waiting, entered = len(sessions), 0
        refused: Denied | None = None

        def decide(session: Session, answer: RoomCounts | Denied | None) -> None:
            nonlocal waiting, entered, refused
            waiting -= 1
            if isinstance(answer, Denied):
                refused = answer
                tenant.tenant.counters.decisions.count(answer.reason)
            else:
                entered += 1
                tenant.rooms.enter(session, message.room, None, active=message.active, counts=answer)
            if not waiting and reply is not None and reply.waiting:
                reply.answer(refused if refused is not None and not entered else entered)

        for session in sessions:
            if tenant.rooms.is_counted(session, message.room):
                decide(session, None)
            else:
                tenant.shared.join(session, message.room, partial(decide, session))
        return DEFERRED

    def _remove(self, message: RemoveForBackend) -> int | Deferred | AmbiguousSid:
        sessions = self._sessions_of(message.who)
        if isinstance(sessions, AmbiguousSid):
            return sessions

        def remove(slice_: Sequence[Session]) -> int:
            members = [one for one in slice_ if message.room in one.rooms]
            for session in members:
                session.put_out(self._tenant.registry.rooms[message.room].ref)
                self._tenant.rooms.leave(session, message.room, None, announce=True, why="removed")
            return len(members)

        return self._slices.answer(sessions, remove, reply=self._asked)

    def _disconnect(self, message: DisconnectForBackend) -> int | Deferred | AmbiguousSid:
        room = message.room
        if message.who is not None:
            sessions = self._sessions_of(message.who)
            if isinstance(sessions, AmbiguousSid):
                return sessions
        else:
            entry = self._tenant.registry.rooms.get(room or "")
            sessions = list(entry.sessions) if entry is not None else []

        def disconnect(slice_: Sequence[Session]) -> int:
            still = [one for one in self._tenant.still_here(slice_) if not room or room in one.rooms]
            self._tenant.tenant.counters.kicked["backend"] += len(still)
            for session in still:
                self._tenant.disconnect(session, message.code, message.reason)
            return len(still)

        return self._slices.answer(sessions, disconnect, reply=self._asked)

    def _count(self, message: CountForBackend) -> int:
        entry = self._tenant.registry.rooms.get(message.room)
        if entry is None:
            return 0
        message.users.append(len(entry.users))
        return len(entry.sessions)

    def _sessions_of(self, who: Who) -> list[Session] | AmbiguousSid:
        """Sessions of one user. A sid is its user's own choice, so one that several users have names nobody."""
        registry, sid = self._tenant.registry, who.sid
        if who.user is not None:
            return [one for one in registry.of_user(who.user) if sid is None or one.sid == sid]
        found = [session for session in registry if session.sid == sid]
        return AmbiguousSid() if len({session.user for session in found}) > 1 else found


def _open(sessions: Iterable[Session]) -> list[Session]:
    """Those whose socket is there: nothing may stand in a queue before ``sys.authed``."""
    return [session for session in sessions if session.outlet.transport is not None]


class Told:
    """Answers the backend once its room has given the publication its place."""

    def __init__(self, reply: Asked, members: int) -> None:
        self._reply = reply
        self._members = members

    def __call__(self, offset: int | None, *, lost: bool = False) -> None:
        if lost:
            self._reply.answer(_LOST)
        else:
            self._reply.answer(PublishedAt(self._members, offset))


class _Delivery:
    """Publications for single sessions, encoded once per wire format."""

    def __init__(self, publications: Publications, flusher: Flusher) -> None:
        self._publications = publications
        self._excludes = any(one.exclude is not None for one in publications)
        self._flusher = flusher
        self._blocks: dict[WireFormat, list[Block]] = {}

    def offer(self, sessions: Sequence[Session]) -> int:
        woken = []
        for session in sessions:
            outlet = session.outlet
            for block in self._blocks_for(session):
                verdict = outlet.queue.offer_block(block)
                if verdict is Verdict.WAKE:
                    woken.append(outlet)
                elif verdict:
                    outlet.settle(verdict)
        self._flusher.mark_all(woken, large=True)
        return len(sessions)

    def _blocks_for(self, session: Session) -> list[Block]:
        wire = session.outlet.format
        blocks = self._blocks.get(wire) or self._encode(wire)
        if not self._excludes:
            return blocks
        frames = (frame for block in blocks for frame in block.frames)
        both = list(zip(self._publications, frames, strict=True))
        kept = [frame for one, frame in both if one.exclude is None or not one.exclude.covers(session)]
        if len(kept) == len(both):
            return blocks
        return blocks_of(kept) if kept else []

    def _encode(self, wire: WireFormat) -> list[Block]:
        blocks = self._blocks[wire] = blocks_of([frame_of(one, wire, None) for one in self._publications])
        return blocks


_HANDLERS: dict[type, Callable[[BackendCalls, Any], object]] = {
    CountForBackend: BackendCalls._count,
    DisconnectForBackend: BackendCalls._disconnect,
    JoinForBackend: BackendCalls._join,
    PublishForBackend: BackendCalls._publish,
    PublishToRooms: BackendCalls._publish_to_rooms,
    RemoveForBackend: BackendCalls._remove,
    SendForBackend: BackendCalls._send,
}

HANDLED = frozenset(_HANDLERS)
"""The types of message that are handled here."""
