"""A tenant: its sessions, its rooms, its limits. It supervises its connections and rooms.

Every check and the change that it allows happen in one synchronous step of this actor.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, assert_never

from actors import Actor, Directive, MailboxSpec, Supervision, Terminated
from qos import Lane, OutboundQueue
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.policy.sessions import Deny
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode, may_reconnect
from wsprism.realtime.connection.actor import Connection
from wsprism.realtime.connection.echo import EchoConnection
from wsprism.realtime.messages import (
    CloseConnection,
    CloseRoom,
    JoinDenied,
    JoinRequest,
    LeaveDenied,
    LeaveRequest,
    LeaveRooms,
    OpenSession,
    PublishToRoom,
    RemoveTenant,
    Revoke,
    RoomJoin,
    RoomLeave,
    RulesChanged,
    SessionOpened,
    is_hot,
)
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.room.actor import Room
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.backend import HANDLED, BackendCalls
from wsprism.realtime.tenant.registry import RoomEntry, Roster, SessionRegistry

__all__ = ["Tenant"]

_log = logging.getLogger("wsprism.tenant")

_ROOMS_LEFT_AT_ONCE = 128
_CONNECTION_MAILBOX = MailboxSpec(capacity=1024)
_ROOM_MAILBOX = MailboxSpec(capacity=65_536, batch=1024, sheddable=is_hot)
_REVOKED = Denied(Reason.REVOKED, ErrorCode.AUTH_FAILED)
_REVOCATIONS_FULL = Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED)
_TENANT_REMOVED = CloseConnection(CloseCode.TENANT_REMOVED, "tenant removed")
_A_CRASH_ENDS_IT = Supervision(directive=lambda _: Directive.STOP)


class Tenant(Actor):
    """One per tenant of the configuration; its state is ``registry``."""

    def __init__(self, tenant: TenantContext, flusher: Flusher) -> None:
        self.tenant = tenant
        self.registry = tenant.registry = SessionRegistry()
        self.flusher = flusher
        self._names = 0
        self._connections = 0

    def on_start(self) -> None:
        self.tenant.ref = self.context.ref
        self._backend = BackendCalls(self)
        self._stop_once_removed()

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
        verdict = rules.sessions.decide(registry.of_user(user), sid)
        refused = None
        evicted: list[tuple[Session, str]] = []
        if isinstance(verdict, Deny):
            refused = verdict.denied
        else:
            by_sid = {session.sid: session for session in registry.of_user(user)}
            evicted = [(by_sid[old_sid], reason) for old_sid, reason in verdict.evict]
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
        return SessionOpened(session)

    def _connect(self, message: OpenSession, sid: str, refused: Denied | None) -> Session:
        tenant = self.tenant
        rules = tenant.rules
        queue = OutboundQueue(rules.queue_limits, tenant.counters.lanes, hold_hot=rules.hot_flush_s > 0)
        outlet = Outlet(queue, self.flusher, message.format, rules.hot_flush_s)
        session = Session(
            message.principal,
            sid,
            outlet,
            trace_id=message.trace_id,
            remote_address=message.remote_address,
            opened_at=tenant.now(),
            origin=message.origin,
            user_agent=message.user_agent,
            trace=message.trace,
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
        self.context.watch(session.connection)
        return session

    def _kick(self, session: Session, reason: str) -> None:
        self.tenant.counters.kicked[reason] += 1
        self.disconnect(session, CloseCode.KICKED, reason)

    def disconnect(self, session: Session, code: int, reason: str) -> None:
        """Out of the registry at once, so that its place is free; told and closed as its queue allows."""
        self._end_session(session)
        notice = None if may_reconnect(code) else sysmsg.kicked(reason, session.trace_id)
        session.connection.tell_control(CloseConnection(code, reason, notice))

    def _revoke(self, message: Revoke) -> int | Denied:
        tenant = self.tenant
        if not tenant.revocations.revoke(message.what, message.name, message.until_s, tenant.unix_now()):
            tenant.counters.decisions.count(Reason.REVOCATIONS_FULL)
            return _REVOCATIONS_FULL
        meant = [session for session in self.registry if _named_by(session, message.what) == message.name]
        for session in meant:
            self._end_session(session)
            session.connection.tell_control(CloseConnection(CloseCode.TICKET, "ticket revoked"))
        return len(meant)

    def _end_session(self, session: Session) -> None:
        self.registry.remove(session)
        self._leave_rooms(LeaveRooms(session, list(session.rooms)))

    def _leave_rooms(self, message: LeaveRooms) -> None:
        """A slice of a session's rooms, the rest later: who was in ten thousand of them delays nobody."""
        rooms = message.rooms
        for _ in range(min(len(rooms), _ROOMS_LEFT_AT_ONCE)):
            self.leave(message.session, rooms.pop(), None, announce=False)
        if rooms:
            self.context.ref.tell_control(message)

    def _connection_ended(self, message: Terminated) -> None:
        session = self.registry.of_connection(message.ref)
        if session is not None:
            self._end_session(session)
        self._connections -= 1
        self._stop_once_removed()

    # Configuration

    def _rules_changed(self, message: RulesChanged) -> None:
        for session in self.registry:
            session.connection.tell_control(message)

    def _remove(self, _: RemoveTenant) -> None:
        for session in tuple(self.registry):
            self._end_session(session)
            session.connection.tell_control(_TENANT_REMOVED)
        self._stop_once_removed()

    def _stop_once_removed(self) -> None:
        if self.tenant.removed and not self._connections:
            self.context.stop()

    # Rooms

    def _join(self, message: JoinRequest) -> None:
        session = message.session
        if self.registry.of_connection(session.connection) is None:
            return
        denied = self.join(session, message.room, message.seq)
        if denied is not None:
            session.connection.tell_control(JoinDenied(message.room, denied, message.seq))

    def join(self, session: Session, name: str, seq: int | None, *, asked: bool = True) -> Denied | None:
        """Join a registered session to a room within the limits. ``asked``: its client waits for it."""
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
        entry = entry or self._open_room(name)
        registry.join(session, name)
        entry.ref.tell_control(RoomJoin(session, seq, asked))
        return None

    def _open_room(self, name: str) -> RoomEntry:
        roster: Roster = {}
        self._names += 1
        ref = self.context.spawn(
            lambda: Room(name, roster, self.flusher),
            name=f"room-{self._names}",
            mailbox=_ROOM_MAILBOX,
        )
        return self.registry.open_room(name, ref, roster)

    def _leave(self, message: LeaveRequest) -> None:
        session = message.session
        if message.room in session.rooms:
            self.leave(session, message.room, message.seq, announce=True)
        else:
            session.connection.tell_control(LeaveDenied(message.room, message.seq))

    def leave(self, session: Session, room: str, seq: int | None, *, announce: bool, asked: bool = True) -> None:
        """Take a session out of a room that it is in. ``announce``: it stays connected and is told."""
        entry = self.registry.leave(session, room)
        if entry is None:
            return
        entry.ref.tell_control(RoomLeave(session, seq, announce, asked))
        if not entry.sessions:
            entry.ref.tell_control(CloseRoom())

    def _publish(self, message: PublishToRoom) -> None:
        entry = self.registry.rooms.get(message.room)
        publication = message.publication
        sender = publication.sender
        if entry is not None:
            if not entry.ref.tell(publication) and sender is not None:
                self.tenant.counters.decisions.count(Reason.MAILBOX_FULL)
                code = ErrorCode.RESOURCE_EXHAUSTED
                notice = sysmsg.error(code, "the room is overloaded", sender.trace_id, publication.seq)
                sender.outlet.send(notice, Lane.CONTROL)
        elif publication.ack and sender is not None:
            sender.outlet.send(sysmsg.ack(publication.seq, sender.trace_id))


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
    JoinRequest: Tenant._join,
    LeaveRooms: Tenant._leave_rooms,
    LeaveRequest: Tenant._leave,
    OpenSession: Tenant._open_session,
    PublishToRoom: Tenant._publish,
    RemoveTenant: Tenant._remove,
    Revoke: Tenant._revoke,
    RulesChanged: Tenant._rules_changed,
    Terminated: Tenant._connection_ended,
    **dict.fromkeys(HANDLED, lambda tenant, message: tenant._backend.receive(message)),
}
