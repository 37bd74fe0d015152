"""A tenant: its sessions, its rooms, its limits. It supervises its connections and rooms.

Every check and the change that it allows happen in one synchronous step of this actor.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from actors import Actor, ActorRef, Deferred, Directive, MailboxSpec, Supervision, Terminated
from qos import OutboundQueue
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.sessions import Deny, EvictReason
from wsprism.policy.values import ValueTable
from wsprism.ports import SessionKey
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode, may_reconnect
from wsprism.realtime.connection.actor import Connection
from wsprism.realtime.connection.echo import EchoConnection
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.messages import (
    Answered,
    CloseConnection,
    Narrowed,
    NextSlice,
    OpenSession,
    RemoveTenant,
    RulesChanged,
    SessionOpened,
)
from wsprism.realtime.outbound.flusher import Flusher
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session, principal_of
from wsprism.realtime.slices import ActorSlices
from wsprism.realtime.stream.messages import NoStream, OpenStream
from wsprism.realtime.stream.session import StreamSession
from wsprism.realtime.tail.messages import NoTail, OpenTail
from wsprism.realtime.tenant.backend import HANDLED, BackendCalls
from wsprism.realtime.tenant.effects import carry_out_for_others
from wsprism.realtime.tenant.histories import HISTORY_HANDLERS, forget_unruled, tell_evicted
from wsprism.realtime.tenant.isolation import ISOLATION_HANDLERS
from wsprism.realtime.tenant.news import News
from wsprism.realtime.tenant.over_registry import REGISTRY_HANDLERS, OverRegistry
from wsprism.realtime.tenant.presence_table import Presences
from wsprism.realtime.tenant.presences import PRESENCE_HANDLERS, tell_rooms_of_rules
from wsprism.realtime.tenant.registry import SessionRegistry
from wsprism.realtime.tenant.revocations import REVOCATION_HANDLERS
from wsprism.realtime.tenant.rooms import ROOM_HANDLERS, TenantRooms
from wsprism.realtime.tenant.service_host import tell_closed
from wsprism.realtime.tenant.streams import Streams
from wsprism.realtime.tenant.tails import Tails
from wsprism.realtime.tenant.unattached import UNATTACHED_HANDLERS, Unattached

__all__ = ["Tenant"]

_log = logging.getLogger("wsprism.tenant")

_LOST = frozenset({1006, CloseCode.SLOW_CONSUMER, CloseCode.IDLE})
"""Codes of ends that nobody wanted: the session may linger in the presence of its rooms."""

_ROOMS_LEFT_AT_ONCE = 16
_CONNECTIONS_TOLD_AT_ONCE = 256
_CONNECTION_MAILBOX = MailboxSpec(capacity=1024)
_REVOKED = Denied(Reason.REVOKED, ErrorCode.AUTH_FAILED)
_TENANT_REMOVED = CloseConnection(CloseCode.TENANT_REMOVED, "tenant removed")
_A_CRASH_ENDS_IT = Supervision(directive=lambda _: Directive.STOP)


class Tenant(Actor):
    """One per tenant of the configuration; its state is ``registry``."""

    def __init__(self, tenant: TenantContext, flusher: Flusher) -> None:
        self.tenant = tenant
        for room in tenant.registry.rooms:
            tell_closed(tenant, room)
        self.registry = tenant.registry = SessionRegistry(tenant.registry.room_numbers.last)
        tenant.presences = Presences(tenant.store)
        tenant.tails = {}
        tenant.values = ValueTable()
        self.flusher = flusher
        self._names = 0
        self._connections = 0
        self._ending: dict[ActorRef, Session] = {}
        self.news = News(tenant)
        self.rooms = TenantRooms(self)
        self.unattached = Unattached(self)
        self.shared: OverRegistry | None = None

    def on_start(self) -> None:
        self.tenant.ref = self.context.ref
        if self.tenant.shared is not None:
            self.shared = OverRegistry(self, self.tenant.shared)
        self.slices = ActorSlices(self.context)
        self.backend = BackendCalls(self)
        self._streams = Streams(self.tenant, self.context, self.flusher)
        self._tails = Tails(self.tenant, self.context, self.flusher, self.rooms.watched, self.rooms.unwatched)
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

    def _open_session(self, message: OpenSession) -> SessionOpened | Denied | Deferred:
        if self.shared is not None:
            return self.shared.open(message)
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
            self.kick(session, reason)
        session = self.connect(message, sid, refused)
        if refused is not None:
            self.tenant.counters.decisions.count(refused.reason)
        else:
            self.admit(session)
        return SessionOpened(session)

    def admit(self, session: Session) -> None:
        """It is one of the tenant's."""
        self.tenant.counters.sessions_opened += 1
        self.registry.add(session)
        if self.tenant.backend is not None:
            self._ending[session.connection] = session
            self.news.connected(session)

    def connect(self, message: OpenSession, sid: str, refused: Denied | None, key: SessionKey | None = None) -> Session:
        """A session and its connection; ``key``: how all nodes know it. One that is ``refused`` says so itself."""
        tenant = self.tenant
        rules = tenant.rules
        queue = OutboundQueue(rules.queue_limits, tenant.counters.lanes, hold_hot=rules.hot_flush_s > 0)
        outlet = Outlet(queue, self.flusher, message.format, rules.hot_flush_s)
        session = Session(
            principal_of(message),
            sid,
            outlet,
            trace_id=message.trace_id,
            remote_address=message.remote_address,
            opened_at=tenant.now(),
            generation=self._generation_of(message, sid) if key is None else key.generation,
            origin=message.origin,
            user_agent=message.user_agent,
            trace=message.trace,
            decision=message.decision,
        )
        session.key = key
        self._names += 1
        kind = EchoConnection if message.echo else Connection
        session.connection = self.context.spawn(
            partial(kind, tenant, session, refused),
            name=f"connection-{self._names}",
            mailbox=_CONNECTION_MAILBOX,
            supervision=_A_CRASH_ENDS_IT,
        )
        outlet.connection = session.connection
        self._connections += 1
        self.unattached.add(session)
        self.context.watch(session.connection)
        return session

    def _generation_of(self, message: OpenSession, sid: str) -> int:
        """The number that the backend has been told, unless a newer session of this user and sid was opened since."""
        other = self.registry.by_sid(message.principal.user).get(sid)
        if message.generation and (other is None or other.generation < message.generation):
            return message.generation
        return self.tenant.next_generation()

    def kick(self, session: Session, reason: str) -> None:
        """It gives way to others."""
        session.superseded = session.superseded or reason == EvictReason.REPLACED.value
        self.tenant.counters.kicked[reason] += 1
        self.disconnect(session, CloseCode.KICKED, reason)

    def disconnect(self, session: Session, code: int, reason: str) -> None:
        """Out of the registry at once, so that its place is free; told and closed as its queue allows."""
        notice = None if may_reconnect(code) else sysmsg.kicked(reason, session.trace_id)
        self.end(session, CloseConnection(code, reason, notice))

    def end(self, session: Session, farewell: CloseConnection) -> None:
        """Whatever it has said that has reached no room yet reaches none any more."""
        session.end()
        self._forget(session)
        session.connection.tell_control(farewell)

    def still_here(self, sessions: Sequence[Session]) -> list[Session]:
        """Without those that have ended since."""
        return [session for session in sessions if session in self.registry.in_order]

    def _forget(self, session: Session, *, lost: bool = False) -> None:
        """Its place is free at once. Of many rooms it leaves some at a time: that delays nobody."""
        self.registry.remove(session)
        if self.shared is not None and session.key is not None:
            self.shared.close(session, session.key)
        rooms = list(session.rooms)

        def leave(some: Sequence[str]) -> int:
            for room in some:
                self.rooms.leave(session, room, None, announce=False, why="disconnected", lost=lost)
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
                self.rooms.leave(session, room, None, announce=True, why="refreshed")
            return len(left)

        self.slices.begin(list(session.rooms), leave, lambda _: session.end_narrowing())

    def _open_stream(self, message: OpenStream) -> StreamSession | NoStream:
        return self._streams.open(message)

    def _open_tail(self, message: OpenTail) -> KeyedSession | NoTail:
        return self._tails.open(message)

    def _connection_ended(self, message: Terminated) -> None:
        if self._streams.ended(message.ref) or self._tails.ended(message.ref):
            self._stop_once_removed()
            return
        session = self.registry.of_connection(message.ref)
        if session is not None:
            self._forget(session, lost=session.ended_with[0] in _LOST)
        self.unattached.forget(message.ref)
        ended = self._ending.pop(message.ref, None)
        if ended is not None:  # behind its rooms, which it may still be leaving
            self.slices.begin((ended,), self._tell_disconnected)
        self._connections -= 1
        self._stop_once_removed()

    def _tell_disconnected(self, sessions: Sequence[Session]) -> int:
        for session in sessions:
            self.news.disconnected(session)
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
        self._tails.close(_TENANT_REMOVED)

        def end(some: Sequence[Session]) -> int:
            meant = self.still_here(some)
            for session in meant:
                self.end(session, _TENANT_REMOVED)
            return len(meant)

        self.slices.begin(list(self.registry), end, lambda _: self._stop_once_removed())

    def _next_slice(self, _: NextSlice) -> None:
        self.slices.go_on()

    def _stop_once_removed(self) -> None:
        if self.tenant.removed and not (self._connections or self._streams or self._tails):
            self.context.stop()


_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    Answered: carry_out_for_others,
    Narrowed: Tenant._narrow,
    NextSlice: Tenant._next_slice,
    OpenSession: Tenant._open_session,
    OpenStream: Tenant._open_stream,
    OpenTail: Tenant._open_tail,
    RemoveTenant: Tenant._remove,
    RulesChanged: Tenant._rules_changed,
    Terminated: Tenant._connection_ended,
    **HISTORY_HANDLERS,
    **ISOLATION_HANDLERS,
    **PRESENCE_HANDLERS,
    **REGISTRY_HANDLERS,
    **REVOCATION_HANDLERS,
    **ROOM_HANDLERS,
    **UNATTACHED_HANDLERS,
    **dict.fromkeys(HANDLED, lambda tenant, message: tenant.backend.receive(message)),
}
