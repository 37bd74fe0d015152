"""A tenant's rooms: who joins and leaves within the limits, and the actors that live as long as somebody is in one.

Part of the tenant actor: every check and the change that it allows are one synchronous step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from actors import MailboxSpec, Supervision
from wsprism.ports import RoomCounts
from wsprism.protocol import sysmsg
from wsprism.protocol.node_words import RemoteSender
from wsprism.realtime.messages import (
    CloseRoom,
    ExtPublication,
    HotPublication,
    JoinDenied,
    JoinRequest,
    JoinUndone,
    LeaveDenied,
    LeaveRequest,
    PublishDecided,
    PublishToRoom,
    RoomEmptied,
    RoomJoin,
    RoomLeave,
    is_hot,
)
from wsprism.realtime.room.actor import Room
from wsprism.realtime.room.cluster import ClusterRoom
from wsprism.realtime.room.history import RoomHistory
from wsprism.realtime.room.inbox import Inbox
from wsprism.realtime.room.outbox import Outbox
from wsprism.realtime.room.snapshot import RoomSnapshot
from wsprism.realtime.tenant.histories import to_nobody
from wsprism.realtime.tenant.news import tell_publication
from wsprism.realtime.tenant.over_nodes import AWAY, publish_without_members
from wsprism.realtime.tenant.registry import RoomEntry, Roster
from wsprism.realtime.tenant.service_host import tell_closed, tell_joined, tell_left

if TYPE_CHECKING:
    from wsprism.policy.decisions import Denied
    from wsprism.protocol.backend import JoinAnswer
    from wsprism.protocol.places import JoinData
    from wsprism.realtime.decision import Decision
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.actor import Tenant
    from wsprism.realtime.tenant.awaited import Awaited

__all__ = ["ROOM_HANDLERS", "TenantRooms"]

_MAILBOX: Final = MailboxSpec(capacity=65_536, batch=1024, sheddable=is_hot)
_RESTARTED_EVER_LATER: Final = Supervision(
    max_restarts=None, within_s=5.0, at_once=3, backoff_initial_s=0.1, backoff_max_s=1.0
)


class TenantRooms:
    """The tenant actor's own; the counts that limits are about stand in its registry."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._names = 0

    def join(
        self,
        session: Session,
        name: str,
        seq: int | None,
        token: Decision | None = None,
        answer: JoinAnswer | None = None,
        wants: JoinData | None = None,
        *,
        active: bool = True,
    ) -> Denied | None:
        """Join a registered session to a room within the limits. ``token``: its connection waits for it.

        ``answer`` is the backend's yes, where it was asked. ``active``: it becomes its active room even if it has one.
        """
        registry = self._tenant.registry
        entry = registry.rooms.get(name)
        denied = self._tenant.tenant.rules.limits.may_join(
            rooms_total=len(registry.rooms),
            room_exists=entry is not None,
            users_in_room=len(entry.users) if entry is not None else 0,
            user_in_room=registry.is_user_in(session.user, name),
            rooms_of_user=registry.rooms_of_user(session.user),
        )
        if denied is not None:
            return denied
        self.enter(session, name, seq, token, answer, wants, active=active)
        return None

    def is_counted(self, session: Session, name: str) -> bool:
        """Whether no registry of all nodes is to be asked before ``session`` enters the room, or enters it again."""
        shared = self._tenant.shared
        return shared is None or name in session.rooms or self._tenant.tenant.broker_of(name) is None

    def enter(
        self,
        session: Session,
        name: str,
        seq: int | None,
        token: Decision | None = None,
        answer: JoinAnswer | None = None,
        wants: JoinData | None = None,
        *,
        active: bool = True,
        counts: RoomCounts | None = None,
    ) -> None:
        """A join that the limits allow. ``counts``: who is in the room then, where that is counted over nodes."""
        registry = self._tenant.registry
        entry = registry.rooms.get(name) or self._reopen(name) or self._open(name)
        comes = session not in entry.sessions
        if comes:
            registry.join(session, name)
            self._tenant.news.joined(session, name, counts or RoomCounts(len(entry.users), len(entry.sessions)))
        if answer is not None:
            session.may_only_read(name, bool(answer.read_only))
        entry.ref.tell_control(RoomJoin(session, seq, token, answer, wants, active))
        if comes and self._tenant.tenant.rules.services.watchers:
            tell_joined(self._tenant.tenant, session, name)

    def _reopen(self, name: str) -> RoomEntry | None:
        entry = self._tenant.registry.reopen_room(name)
        if entry is not None:
            self._tenant.news.room_opened(name, entry.number)
        return entry

    def _open(self, name: str) -> RoomEntry:
        inbox, roster, users, history = self._spawn(name)
        entry = self._tenant.registry.open_room(name, inbox, roster, users, history)
        self._tenant.news.room_opened(name, entry.number)
        return entry

    def watched(self, name: str) -> None:
        """Somebody who is no member hears it from now on. Over nodes that takes its actor, also without members."""
        registry = self._tenant.registry
        if self.is_heard(name) and name not in registry.rooms and name not in registry.emptied:
            registry.hold_room(name, *self._spawn(name))

    def unwatched(self, name: str) -> None:
        """Nobody does any more: without members its actor ends."""
        entry = self._tenant.registry.emptied.get(name)
        if entry is not None:
            entry.ref.tell_control(CloseRoom())

    def is_heard(self, name: str) -> bool:
        """Whether it lives on other nodes too, and has a tail here."""
        tenant = self._tenant.tenant
        return name in tenant.tails and tenant.broker_of(name) is not None

    def _spawn(self, name: str) -> tuple[Inbox, Roster, Counter[str], RoomHistory | None]:
        """Its actor, and what that shares with the registry."""
        actor, tenant = self._tenant, self._tenant.tenant
        roster: Roster = {}
        users: Counter[str] = Counter()
        flusher, snapshot = actor.flusher, RoomSnapshot()
        broker, mirror = tenant.broker_of(name), tenant.mirror
        inbox = Inbox(over_nodes=broker is not None and mirror is not None)
        make: Callable[[], Room]
        history: RoomHistory | None
        if broker is not None and mirror is not None:
            history = over_nodes = RoomHistory(name, tenant, mirror)
            outbox = Outbox(name, tenant, broker, inbox)
            make = lambda: ClusterRoom(  # noqa: E731 (a closure over what the room outlives)
                name, roster, users, inbox, tenant, flusher, over_nodes, snapshot, broker, mirror, outbox
            )
        else:
            history = None if tenant.store is None else RoomHistory(name, tenant, tenant.store)
            make = lambda: Room(name, roster, users, inbox, tenant, flusher, history, snapshot)  # noqa: E731
        self._names += 1
        inbox.ref = actor.context.spawn(
            make,
            name=f"room-{self._names}",
            mailbox=_MAILBOX,
            supervision=_RESTARTED_EVER_LATER,
        )
        return inbox, roster, users, history

    def leave(
        self,
        session: Session,
        room: str,
        seq: int | None,
        *,
        announce: bool,
        token: Decision | None = None,
        why: str = "asked",
        lost: bool = False,
    ) -> None:
        """Take a session out of a room that it is in. ``announce``: it stays connected and is told."""
        registry, shared = self._tenant.registry, self._tenant.shared
        entry = registry.leave(session, room)
        if entry is None:
            return
        counts: Awaited[RoomCounts | None] | RoomCounts = RoomCounts(len(entry.users), len(entry.sessions))
        if shared is not None:
            of_all_nodes = shared.leave(session, room)
            if self._tenant.tenant.broker_of(room) is not None:
                counts = of_all_nodes
        entry.ref.tell_control(RoomLeave(session, seq, announce, token, lost))
        self._tenant.news.left(session, room, counts, why)
        if self._tenant.tenant.rules.services.watchers:
            tell_left(self._tenant.tenant, session, room)
        if not entry.sessions:
            if not entry.inbox.over_nodes:
                self._tenant.tenant.values.drop(room)
            entry.ref.tell_control(CloseRoom())
            self._tenant.news.room_closed(room, entry.number)
            tell_closed(self._tenant.tenant, room)


def _join(tenant: Tenant, message: JoinRequest) -> None:
    session = message.session
    if tenant.registry.of_connection(session.connection) is None:
        return
    room, seq, token = message.room, message.seq, message.token

    def decided(answer: RoomCounts | Denied) -> None:
        if isinstance(answer, RoomCounts):
            tenant.rooms.enter(session, room, seq, token, message.answer, message.wants, counts=answer)
        else:
            session.connection.tell_control(JoinDenied(room, answer, seq, token))

    if tenant.shared is not None and not tenant.rooms.is_counted(session, room):
        tenant.shared.join(session, room, decided)
        return
    denied = tenant.rooms.join(session, room, seq, token, message.answer, message.wants)
    if denied is not None:
        decided(denied)


def _undo_join(tenant: Tenant, message: JoinUndone) -> None:
    """Its room could not be reached: what was counted is taken back, and whoever waits is told."""
    session, room, token = message.session, message.room, message.token
    entry = tenant.registry.rooms.get(room)
    if message.is_new and entry is not None:
        tenant.rooms.leave(session, room, None, announce=session in entry.roster, why="unavailable")
    if token is not None:
        session.connection.tell_control(JoinDenied(room, AWAY, message.seq, token))


def _leave(tenant: Tenant, message: LeaveRequest) -> None:
    session = message.session
    if message.room in session.rooms:
        tenant.rooms.leave(session, message.room, message.seq, announce=True, token=message.token)
    else:
        session.connection.tell_control(LeaveDenied(message.room, message.seq, message.token))


def _emptied(tenant: Tenant, message: RoomEmptied) -> None:
    """Nobody has come back meanwhile: its actor ends, what it remembers stays for its time."""
    entry = tenant.registry.emptied.get(message.room)
    if entry is not None and entry.ref is message.ref and not tenant.rooms.is_heard(message.room):
        del tenant.registry.emptied[message.room]
        entry.ref.tell_control(CloseRoom(final=True))


def _publish(tenant: Tenant, message: PublishToRoom) -> None:
    entry = tenant.registry.rooms.get(message.room) or tenant.registry.emptied.get(message.room)
    publication = message.publication
    sender = publication.sender
    assert not isinstance(sender, RemoteSender), "what another node has said is in its room already"
    if sender is not None and sender.ended:
        return
    offset = None
    broker = tenant.tenant.broker_of(message.room) if entry is None else None
    if broker is not None:
        publish_without_members(tenant.tenant, broker, message.room, (publication,))
    elif entry is None:
        offset = _keep(tenant.tenant, message.room, publication)
        if publication.ack and sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id, offset))
    taken = entry is None or entry.inbox.publish(publication)
    asker, token = message.asker or sender, message.token
    if asker is None or (taken and token is None):
        return
    ordered = entry is not None or broker is not None
    if taken and ordered and isinstance(publication, ExtPublication) and publication.told is not None:
        return  # its room answers, with the offset
    seq = publication.seq if message.asker is None else message.seq
    asker.connection.tell_control(PublishDecided(taken, seq, token, offset))


def _keep(tenant: TenantContext, room: str, publication: ExtPublication | HotPublication) -> int | None:
    """Nobody is in ``room``: whoever comes finds it, if anything is kept there. Its offset."""
    offset = to_nobody(tenant, room, (publication,))
    if offset is None or not isinstance(publication, ExtPublication) or publication.again:
        return offset
    by_client = (publication.sender or publication.author) is not None
    if tenant.backend is not None and by_client and tenant.backend.tells("publication", room):
        tell_publication(tenant.backend, room, publication)
    return offset


ROOM_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    JoinRequest: _join,
    JoinUndone: _undo_join,
    LeaveRequest: _leave,
    PublishToRoom: _publish,
    RoomEmptied: _emptied,
}
"""By the message's type, for the tenant."""
