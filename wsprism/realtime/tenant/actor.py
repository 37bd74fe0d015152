"""A tenant: its sessions, its rooms, its limits. It supervises its connections and rooms.

Every check and the change that it allows happen in one synchronous step of this actor.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, assert_never

from actors import Actor, ActorRef, Deferred, Directive, MailboxSpec, Supervision, Terminated
from qos import OutboundQueue
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.policy.sessions import Deny
from wsprism.ports import Principal
from wsprism.protocol import sysmsg
from wsprism.protocol.backend import JoinAnswer
from wsprism.protocol.codes import CloseCode, ErrorCode, may_reconnect
from wsprism.protocol.places import JoinData
from wsprism.realtime.connection.actor import Connection
from wsprism.realtime.connection.echo import EchoConnection
from wsprism.realtime.decision import Decision
from wsprism.realtime.messages import (
    Answered,
    CloseConnection,
    CloseRoom,
    JoinDenied,
    JoinRequest,
    LeaveDenied,
    LeaveRequest,
    LiftRevocation,
    Narrowed,
    NextSlice,
    OpenSession,
    PublishDecided,
    PublishToRoom,
    RemoveTenant,
    Revoke,
    RoomEmptied,
    RoomJoin,
    RoomLeave,
    RulesChanged,
    SessionOpened,
    is_hot,
)
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.outlet import Closing, Outlet
from wsprism.realtime.room.actor import Room
from wsprism.realtime.room.history import RoomHistory
from wsprism.realtime.room.inbox import Inbox
from wsprism.realtime.room.snapshot import RoomSnapshot
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session
from wsprism.realtime.slices import ActorSlices
from wsprism.realtime.stream.messages import NoStream, OpenStream
from wsprism.realtime.stream.session import StreamSession
from wsprism.realtime.tenant.backend import HANDLED, BackendCalls
from wsprism.realtime.tenant.effects import carry_out_for_others
from wsprism.realtime.tenant.histories import HISTORY_HANDLERS, forget_unruled, keep, tell_evicted
from wsprism.realtime.tenant.news import News
from wsprism.realtime.tenant.presence_table import Presences
from wsprism.realtime.tenant.presences import PRESENCE_HANDLERS, tell_rooms_of_rules
from wsprism.realtime.tenant.registry import RoomEntry, Roster, SessionRegistry
from wsprism.realtime.tenant.streams import Streams

__all__ = ["Tenant"]

_log = logging.getLogger("wsprism.tenant")

_ATTACHED_WITHIN_S = 10.0
_LOST = frozenset({1006, CloseCode.SLOW_CONSUMER, CloseCode.IDLE})
"""Codes of ends that nobody wanted: the session may linger in the presence of its rooms."""

_ROOMS_LEFT_AT_ONCE = 16
_CONNECTIONS_TOLD_AT_ONCE = 256
_CONNECTION_MAILBOX = MailboxSpec(capacity=1024)
_ROOM_MAILBOX = MailboxSpec(capacity=65_536, batch=1024, sheddable=is_hot)
_REVOKED = Denied(Reason.REVOKED, ErrorCode.AUTH_FAILED)
_REVOCATIONS_FULL = Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TICKET_REVOKED = CloseConnection(CloseCode.TICKET, "ticket revoked")
_TENANT_REMOVED = CloseConnection(CloseCode.TENANT_REMOVED, "tenant removed")
_A_CRASH_ENDS_IT = Supervision(directive=lambda _: Directive.STOP)
_RESTARTED_EVER_LATER = Supervision(
    max_restarts=None, within_s=5.0, at_once=3, backoff_initial_s=0.1, backoff_max_s=1.0
)


class _LookForSockets:
    """To itself: some sessions have waited for their socket long enough."""


class Tenant(Actor):
    """One per tenant of the configuration; its state is ``registry``."""

    def __init__(self, tenant: TenantContext, flusher: Flusher) -> None:
        self.tenant = tenant
        self.registry = tenant.registry = SessionRegistry(tenant.registry.room_numbers.last)
        tenant.presences = Presences(tenant.store)
        self.flusher = flusher
        self._names = 0
        self._connections = 0
        self._unattached: dict[ActorRef, tuple[float, Session]] = {}
        self._watches_unattached = False
        self._ending: dict[ActorRef, Session] = {}
        self._news = News(tenant)

    def on_start(self) -> None:
        self.tenant.ref = self.context.ref
        self.slices = ActorSlices(self.context)
        self._backend = BackendCalls(self)
        self._streams = Streams(self.tenant, self.context, self.flusher)
        if self.tenant.store is not None:
            self.tenant.store.on_evicted = lambda room: tell_evicted(self, room)
        self._stop_once_removed()

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """Its rooms end with it, and nobody knows what was on its way: nothing that they remember goes on."""
        if self.tenant.store is not None:
            self.tenant.store.clear()

    def receive(self, message: object) -> object:
        return _HANDLERS[type(message)](self, message)

    # Sessions

    def _open_session(self, message: OpenSession) -> SessionOpened | Denied:
        rules, registry = self.tenant.rules, self.registry
        user = message.principal.user
        sid = message.sid or os.urandom(8).hex()
        if self.tenant.revocations.covers(user, sid, message.principal.token_id, self.tenant.unix_now()):
            self.tenant.counters.decisions.count(Reason.REVOKED)
            return _REVOKED
        of_user = registry.by_sid(user)
        verdict = rules.sessions.decide(of_user, sid)
        refused = None
        evicted: list[tuple[Session, str]] = []
        if isinstance(verdict, Deny):
            refused = verdict.denied
        else:
            evicted = [(of_user[old_sid], reason) for old_sid, reason in verdict.evict]
            full = rules.limits.may_open_session(len(registry) - len(evicted))
            if full is not None:
                self.tenant.counters.decisions.count(full.reason)
                return full
        for session, reason in evicted:
            self._kick(session, reason)
        session = self._connect(message, sid, refused)
        if refused is not None:
            self.tenant.counters.decisions.count(refused.reason)
        else:
            self.tenant.counters.sessions_opened += 1
            self.registry.add(session)
            if self.tenant.backend is not None:
                self._ending[session.connection] = session
                self._news.connected(session)
        return SessionOpened(session)

    def _connect(self, message: OpenSession, sid: str, refused: Denied | None) -> Session:
        tenant = self.tenant
        rules = tenant.rules
        queue = OutboundQueue(rules.queue_limits, tenant.counters.lanes, hold_hot=rules.hot_flush_s > 0)
        outlet = Outlet(queue, self.flusher, message.format, rules.hot_flush_s)
        session = Session(
            _principal_of(message),
            sid,
            outlet,
            trace_id=message.trace_id,
            remote_address=message.remote_address,
            opened_at=tenant.now(),
            generation=self._generation_of(message, sid),
            origin=message.origin,
            user_agent=message.user_agent,
            trace=message.trace,
            decision=message.decision,
        )
        self._names += 1
        kind = EchoConnection if message.echo else Connection
        session.connection = self.context.spawn(
            lambda: kind(tenant, session, refused),
            name=f"connection-{self._names}",
            mailbox=_CONNECTION_MAILBOX,
            supervision=_A_CRASH_ENDS_IT,
        )
        outlet.connection = session.connection
        self._connections += 1
        self._unattached[session.connection] = (tenant.now() + _ATTACHED_WITHIN_S, session)
        if not self._watches_unattached:
            self._watches_unattached = True
            self.context.call_later(_ATTACHED_WITHIN_S, _LookForSockets())
        self.context.watch(session.connection)
        return session

    def _generation_of(self, message: OpenSession, sid: str) -> int:
        """The number that the backend has been told, unless a newer session of this user and sid was opened since."""
        other = self.registry.by_sid(message.principal.user).get(sid)
        if message.generation and (other is None or other.generation < message.generation):
            return message.generation
        return self.tenant.next_generation()

    def _look_for_sockets(self, _: _LookForSockets) -> None:
        """A session whose handshake ended between the tenant's answer and the socket would stay for ever."""
        now = self.tenant.now()
        while self._unattached:
            connection, (until, session) = next(iter(self._unattached.items()))
            if until > now:
                self.context.call_later(until - now, _LookForSockets())
                return
            del self._unattached[connection]
            if session.outlet.transport is None and session.outlet.closing is not Closing.DONE:
                connection.stop()
        self._watches_unattached = False

    def _kick(self, session: Session, reason: str) -> None:
        self.tenant.counters.kicked[reason] += 1
        self.disconnect(session, CloseCode.KICKED, reason)

    def disconnect(self, session: Session, code: int, reason: str) -> None:
        """Out of the registry at once, so that its place is free; told and closed as its queue allows."""
        notice = None if may_reconnect(code) else sysmsg.kicked(reason, session.trace_id)
        self._end(session, CloseConnection(code, reason, notice))

    def _end(self, session: Session, farewell: CloseConnection) -> None:
        """Whatever it has said that has reached no room yet reaches none any more."""
        session.end()
        self._forget(session)
        session.connection.tell_control(farewell)

    def _revoke(self, message: Revoke) -> int | Deferred | Denied:
        tenant = self.tenant
        if not tenant.revocations.revoke(
            message.what, message.name, message.until_s, tenant.unix_now(), message.reason
        ):
            tenant.counters.decisions.count(Reason.REVOCATIONS_FULL)
            return _REVOCATIONS_FULL
        if tenant.state is not None:
            tenant.state.revoked(message.what, message.name, message.until_s, message.reason)

        def revoke(some: Sequence[Session]) -> int:
            meant = [one for one in self.still_here(some) if _named_by(one, message.what) == message.name]
            for session in meant:
                self._end(session, _TICKET_REVOKED)
            return len(meant)

        is_user = message.what is Revocable.USER
        return self.slices.answer(self.registry.of_user(message.name) if is_user else list(self.registry), revoke)

    def _lift_revocation(self, message: LiftRevocation) -> int:
        tenant = self.tenant
        if tenant.state is not None:
            tenant.state.lifted(message.what, message.name)
        return int(tenant.revocations.lift(message.what, message.name, tenant.unix_now()))

    def still_here(self, sessions: Sequence[Session]) -> list[Session]:
        """Without those that have ended since."""
        return [session for session in sessions if session in self.registry.in_order]

    def _forget(self, session: Session, *, lost: bool = False) -> None:
        """Its place is free at once. Of many rooms it leaves some at a time: that delays nobody."""
        self.registry.remove(session)
        rooms = list(session.rooms)

        def leave(some: Sequence[str]) -> int:
            for room in some:
                self.leave(session, room, None, announce=False, why="disconnected", lost=lost)
            return len(some)

        if len(rooms) <= _ROOMS_LEFT_AT_ONCE:
            leave(rooms)
        else:
            self.slices.begin(rooms, leave)

    def _narrow(self, message: Narrowed) -> None:
        """Out of the rooms that only the ticket before allowed; where the new one allows none it is mute already."""
        session, before = message.session, message.before

        def leave(some: Sequence[str]) -> int:
            principal = session.principal
            left = [room for room in some if before.may_enter(room) and not principal.may_enter(room)]
            for room in left:
                self.leave(session, room, None, announce=True, why="refreshed")
            return len(left)

        self.slices.begin(list(session.rooms), leave, lambda _: session.end_narrowing())

    def _open_stream(self, message: OpenStream) -> StreamSession | NoStream:
        return self._streams.open(message)

    def _connection_ended(self, message: Terminated) -> None:
        if self._streams.ended(message.ref):
            self._stop_once_removed()
            return
        session = self.registry.of_connection(message.ref)
        if session is not None:
            self._forget(session, lost=session.ended_with[0] in _LOST)
        self._unattached.pop(message.ref, None)
        ended = self._ending.pop(message.ref, None)
        if ended is not None:  # behind its rooms, which it may still be leaving
            self.slices.begin((ended,), self._tell_disconnected)
        self._connections -= 1
        self._stop_once_removed()

    def _tell_disconnected(self, sessions: Sequence[Session]) -> int:
        for session in sessions:
            self._news.disconnected(session)
        return len(sessions)

    # Configuration

    def _rules_changed(self, message: RulesChanged) -> None:
        forget_unruled(self)
        tell_rooms_of_rules(self)

        def tell(some: Sequence[Session]) -> int:
            for session in self.still_here(some):
                session.connection.tell_control(message)
            return len(some)

        self.slices.begin(list(self.registry), tell, most=_CONNECTIONS_TOLD_AT_ONCE)

    def _remove(self, _: RemoveTenant) -> None:
        self._streams.close(_TENANT_REMOVED)

        def end(some: Sequence[Session]) -> int:
            meant = self.still_here(some)
            for session in meant:
                self._end(session, _TENANT_REMOVED)
            return len(meant)

        self.slices.begin(list(self.registry), end, lambda _: self._stop_once_removed())

    def _next_slice(self, _: NextSlice) -> None:
        self.slices.go_on()

    def _stop_once_removed(self) -> None:
        if self.tenant.removed and not self._connections and not self._streams:
            self.context.stop()

    # Rooms

    def _join(self, message: JoinRequest) -> None:
        session = message.session
        if self.registry.of_connection(session.connection) is None:
            return
        denied = self.join(session, message.room, message.seq, message.token, message.answer, message.wants)
        if denied is not None:
            session.connection.tell_control(JoinDenied(message.room, denied, message.seq, message.token))

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
        registry = self.registry
        entry = registry.rooms.get(name)
        denied = self.tenant.rules.limits.may_join(
            rooms_total=len(registry.rooms),
            room_exists=entry is not None,
            users_in_room=len(entry.users) if entry is not None else 0,
            user_in_room=registry.is_user_in(session.user, name),
            rooms_of_user=registry.rooms_of_user(session.user),
        )
        if denied is not None:
            return denied
        entry = entry or self._reopen_room(name) or self._open_room(name)
        if session not in entry.sessions:
            registry.join(session, name)
            self._news.joined(session, name, entry)
        if answer is not None:
            session.may_only_read(name, bool(answer.read_only))
        entry.ref.tell_control(RoomJoin(session, seq, token, answer, wants, active))
        return None

    def _reopen_room(self, name: str) -> RoomEntry | None:
        entry = self.registry.reopen_room(name)
        if entry is not None:
            self._news.room_opened(name, entry.number)
        return entry

    def _open_room(self, name: str) -> RoomEntry:
        roster: Roster = {}
        users: Counter[str] = Counter()
        inbox = Inbox()
        store = self.tenant.store
        history = RoomHistory(name, self.tenant, store) if store is not None else None
        snapshot = RoomSnapshot()
        self._names += 1
        inbox.ref = self.context.spawn(
            lambda: Room(name, roster, users, inbox, self.tenant, self.flusher, history, snapshot),
            name=f"room-{self._names}",
            mailbox=_ROOM_MAILBOX,
            supervision=_RESTARTED_EVER_LATER,
        )
        entry = self.registry.open_room(name, inbox, roster, users, history)
        self._news.room_opened(name, entry.number)
        return entry

    def _room_emptied(self, message: RoomEmptied) -> None:
        """Nobody has come back meanwhile: its actor ends, what it remembers stays for its time."""
        entry = self.registry.emptied.get(message.room)
        if entry is not None and entry.ref is message.ref:
            del self.registry.emptied[message.room]
            entry.ref.tell_control(CloseRoom(final=True))

    def _leave(self, message: LeaveRequest) -> None:
        session = message.session
        if message.room in session.rooms:
            self.leave(session, message.room, message.seq, announce=True, token=message.token)
        else:
            session.connection.tell_control(LeaveDenied(message.room, message.seq, message.token))

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
        entry = self.registry.leave(session, room)
        if entry is None:
            return
        entry.ref.tell_control(RoomLeave(session, seq, announce, token, lost))
        self._news.left(session, room, entry, why)
        if not entry.sessions:
            entry.ref.tell_control(CloseRoom())
            self._news.room_closed(room, entry.number)

    def _publish(self, message: PublishToRoom) -> None:
        entry = self.registry.rooms.get(message.room) or self.registry.emptied.get(message.room)
        publication = message.publication
        sender = publication.sender
        if sender is not None and sender.ended:
            return
        if entry is None:
            offset = keep(self.tenant, message.room, (publication,))
            if publication.ack and sender is not None:
                sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id, offset))
        taken = entry is None or entry.inbox.publish(publication)
        asker, token = message.asker or sender, message.token
        if asker is not None and not (taken and token is None):
            seq = publication.seq if message.asker is None else message.seq
            asker.connection.tell_control(PublishDecided(taken, seq, token))


def _principal_of(message: OpenSession) -> Principal:
    """The ticket's, with what the backend adds to its metadata."""
    decision = message.decision
    if decision is None or decision.metadata is None:
        return message.principal
    return replace(message.principal, metadata={**message.principal.metadata, **decision.metadata})


def _named_by(session: Session, what: Revocable) -> str | None:
    match what:
        case Revocable.USER:
            return session.user
        case Revocable.SID:
            return session.sid
        case Revocable.TOKEN_ID:
            return session.principal.token_id
        case _:
            assert_never(what)


_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    Answered: carry_out_for_others,
    JoinRequest: Tenant._join,
    LeaveRequest: Tenant._leave,
    LiftRevocation: Tenant._lift_revocation,
    Narrowed: Tenant._narrow,
    NextSlice: Tenant._next_slice,
    _LookForSockets: Tenant._look_for_sockets,
    OpenSession: Tenant._open_session,
    OpenStream: Tenant._open_stream,
    PublishToRoom: Tenant._publish,
    RemoveTenant: Tenant._remove,
    Revoke: Tenant._revoke,
    RoomEmptied: Tenant._room_emptied,
    RulesChanged: Tenant._rules_changed,
    Terminated: Tenant._connection_ended,
    **HISTORY_HANDLERS,
    **PRESENCE_HANDLERS,
    **dict.fromkeys(HANDLED, lambda tenant, message: tenant._backend.receive(message)),
}
