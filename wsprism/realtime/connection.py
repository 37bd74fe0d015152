"""One client's connection: what it may say, which rooms it is in, how it ends.

Frames of its socket come in as str and bytes (plus the control events of ``protocol.websocket``); everything it sends
goes to its outlet. Limits that span connections are its tenant's business. It handles a message to the end without
waiting; while a join or leave is under way, its further messages are kept back so that their order holds.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import msgspec

from actors import Actor, ActorRef
from qos import Frame, Lane
from wsprism.effects import JoinRoom, LeaveRoom, ListMembers, Publish, Refuse, Reply
from wsprism.errors import InternalError
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.ports import TicketRequest
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import ACK_REQUESTED, DataFault, Envelope, EnvelopeFault
from wsprism.protocol.frames import binary_frame, close_frame, pong_frame
from wsprism.protocol.hot import ACK_REQUESTED as HOT_ACK_REQUESTED
from wsprism.protocol.hot import HotFault, decode_hot, with_sender
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.messages import (
    Attached,
    CloseConnection,
    Draining,
    ExtPublication,
    HotPublication,
    JoinAccepted,
    JoinDenied,
    JoinRequest,
    LeaveDenied,
    LeaveRequest,
    Left,
    MembersQuery,
    PublishToRoom,
    Refreshed,
    RulesChanged,
    SampledPublication,
    TransportLost,
)
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session
from wsprism.traces import MessageTrace

__all__ = ["Connection", "State"]

_log = logging.getLogger("wsprism.connection")

_MAX_HELD_BACK = 256
_MAX_HELD_BACK_BYTES = 64 * 1024
"""Reached by either, nothing more is read from the socket until the join or leave under way is decided."""

_CONTROL_FRAMES_PER_S = 50
_CONTROL_FRAMES_BURST = 256
"""What pings and pongs a client may send, beside its messages: far more than any keepalive, far less than a flood."""

_REFRESHES_PER_S = 1
_REFRESHES_BURST = 5
"""Whoever judges tickets (a key, a backend) is not asked at the rate of messages."""

_NO_STATUS_RECEIVED = 1005
_ABNORMAL_CLOSURE = 1006
_FIRST_PRIVATE_CODE = 3000
"""From here on clients and backends may close with whatever they like; a count's label is never their choice."""
_OWN_CODES = frozenset(map(int, CloseCode))

_JOIN_DENIALS = {
    Reason.ROOM_FULL: "the room is full",
    Reason.TOO_MANY_ROOMS: "the tenant has no room for another room",
    Reason.TOO_MANY_ROOMS_PER_USER: "too many rooms of this user",
}


class RefreshData(msgspec.Struct, forbid_unknown_fields=True):
    """The data of ``sys.refresh``."""

    ticket: str


class State(Enum):
    """A connection's life. Transitions: see ``_NEXT``."""

    OPENING = auto()
    """The session is registered; the socket is being upgraded."""
    OPEN = auto()
    CLOSING = auto()
    """A Close is on its way; what the client says is no longer heard."""
    CLOSED = auto()


_OPEN = State.OPEN

_NEXT = {
    State.OPENING: {State.OPEN, State.CLOSING, State.CLOSED},
    State.OPEN: {State.CLOSING, State.CLOSED},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set[State](),
}


class Connection(Actor):
    """``refused`` is the tenant's no to this session: it is told to the client as soon as the socket is there."""

    def __init__(self, tenant: TenantContext, session: Session, refused: Denied | None = None) -> None:
        self._tenant = tenant
        self.session = session
        self.state = State.OPENING
        self.close_code: int | None = None
        self.close_reason = ""
        self._refused = refused
        self._outlet = session.outlet
        self._codec = session.outlet.format.codec
        self._binary = self._codec.binary
        self._counters = tenant.counters
        self._limiter = tenant.rate_limiter()
        self._sampler = tenant.sampler
        self._trace: MessageTrace | None = None
        self._rooms: dict[str, ActorRef] = {}
        self.active_room: str | None = None
        """The room that a hot frame, and an ext message without a room, goes to: the one joined last."""
        self._awaiting: str | None = None
        self._held_back: deque[str | bytes] = deque()
        self._held_back_bytes = 0
        self._control_frames: TokenBucket | None = None
        self._faults_in_row = 0
        self._refreshing = False
        self._refreshes: TokenBucket | None = None

    @property
    def tenant(self) -> str:
        return self._tenant.id

    @property
    def user(self) -> str:
        return self.session.user

    @property
    def sid(self) -> str:
        return self.session.sid

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return self._codec.decode_data(envelope.data, type)

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is str or kind is bytes:
            if self._awaiting is not None:
                self._hold_back(message)  # type: ignore[arg-type]
            elif self.state is not _OPEN:
                return
            else:
                sampler = self._sampler
                sampler.remaining -= 1
                if sampler.remaining < 0:
                    self._trace = sampler.begin(self._tenant.id, self.session)
                if kind is str:
                    self._on_ext(message)  # type: ignore[arg-type]
                else:
                    self._on_message(message)  # type: ignore[arg-type]
                if self._trace is not None:
                    self._end_trace(self._trace)
        else:
            _HANDLERS[kind](self, message)

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """This connection alone ends; its client is told so without a detail."""
        if self.state in (State.OPENING, State.OPEN):
            notice = sysmsg.error(ErrorCode.INTERNAL, "internal error", self.session.trace_id)
            self._close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", notice))

    def on_stop(self) -> None:
        """Stopped from above: the socket goes too."""
        if self.state in (State.OPENING, State.OPEN):
            self._close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", discard=True))
        if self.state is not State.CLOSED:
            self._log_closed()

    # What the client says

    def _on_message(self, message: str | bytes) -> None:
        if isinstance(message, str) or (self._binary and _begins_with_map(message)):
            self._on_ext(message)
        else:
            self._on_hot(message)

    def _on_ext(self, payload: str | bytes) -> None:
        counters = self._counters
        counters.messages_in_ext += 1
        counters.bytes_in_ext += len(payload)
        now = self._tenant.now()
        if not self._limiter.allow(now):
            seq = self._codec.read_seq(payload)
            self._refuse(Reason.RATE_LIMITED_EXT, ErrorCode.RATE_LIMITED, "too many messages", seq)
            self._close_if_too_long_over_limit(now)
            return
        envelope = self._codec.decode(payload)
        if isinstance(envelope, EnvelopeFault):
            self._on_fault(envelope)
            return
        self._faults_in_row = 0
        if envelope.trace is not None:
            self._trace = self._sampler.follow(self._trace, envelope.trace, self._tenant.id, self.session)
        svc = envelope.svc
        if svc == "sys":
            self._on_sys(envelope)
            return
        rules = self._tenant.rules
        if not rules.ext_allowlist.allows(svc, envelope.type):
            self._refuse(Reason.NOT_ALLOWED_EXT, ErrorCode.NOT_ALLOWED, "message type not allowed", envelope.seq)
            return
        service = rules.services.ext.get(svc)
        if service is None or envelope.type not in service.types:
            self._refuse(Reason.UNKNOWN_SERVICE, ErrorCode.NOT_ALLOWED, "no such service", envelope.seq)
            return
        counters.messages_by_ext_service[svc] += 1
        if self._trace is not None:
            self._trace.mark("policy")
        effect = service.handle(self, envelope)
        if self._trace is not None:
            self._trace.mark("service", service=svc, type=envelope.type)
        if effect is not None:
            _EFFECTS[type(effect)](self, effect, envelope)

    def _on_fault(self, fault: EnvelopeFault) -> None:
        reason = Reason.UNSUPPORTED_VERSION if fault.code is ErrorCode.UNSUPPORTED_VERSION else Reason.BAD_REQUEST
        self._refuse(reason, fault.code, fault.msg, fault.seq)
        self._faults_in_row += 1
        most = self._tenant.rules.max_protocol_errors
        if most and self._faults_in_row >= most:
            self._close(CloseConnection(CloseCode.PROTOCOL_ERRORS, "too many protocol errors"))

    def _on_sys(self, envelope: Envelope) -> None:
        if envelope.type == "ping":
            self._outlet.send(sysmsg.pong(envelope.data, self.session.trace_id, envelope.seq))
        elif envelope.type == "refresh":
            self._refresh(envelope)
        else:
            self._refuse(Reason.NOT_ALLOWED_EXT, ErrorCode.NOT_ALLOWED, "message type not allowed", envelope.seq)

    def _on_hot(self, raw: bytes) -> None:
        if self._trace is not None:
            self._trace.lane = "hot"
        counters = self._counters
        counters.messages_in_hot += 1
        counters.bytes_in_hot += len(raw)
        now = self._tenant.now()
        if not self._limiter.allow(now):
            counters.decisions.count(Reason.RATE_LIMITED_HOT)
            self._close_if_too_long_over_limit(now)
            return
        rules = self._tenant.rules
        frame = decode_hot(raw, rules.hot_framing)
        if isinstance(frame, HotFault):
            self._refuse_hot(Reason.BAD_REQUEST_HOT, ErrorCode.BAD_REQUEST, frame.reason)
            return
        service_id = frame.service_id
        if not rules.hot_allowlist.allows(service_id, frame.opcode):
            self._refuse_hot(Reason.NOT_ALLOWED_HOT, ErrorCode.NOT_ALLOWED, "opcode not allowed", frame.seq)
            return
        service = rules.services.hot.get(service_id)
        if service is None:
            self._refuse_hot(Reason.UNKNOWN_SERVICE, ErrorCode.NOT_ALLOWED, "no such service", frame.seq)
            return
        if self.session.principal.read_only:
            self._refuse_hot(Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this ticket may not publish", frame.seq)
            return
        counters.messages_by_hot_service[service_id] += 1
        if self._trace is not None:
            self._trace.mark("policy", service=str(service_id), opcode=frame.opcode)
        session = self.session
        ready = binary_frame(raw if not service.include_sender else with_sender(frame, session.user))
        ack = bool(frame.flags & HOT_ACK_REQUESTED)
        room = self.active_room
        if room is None:
            if rules.hot_requires_active_room:
                self._refuse_hot(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", frame.seq)
                return
            self._outlet.offer(Frame(ready, Lane.HOT, None))
            if ack:
                self._outlet.send(sysmsg.ack(frame.seq, session.trace_id))
            return
        conflation = rules.conflation
        key = (room, conflation.key_for(session, frame.opcode, frame.payload)) if conflation.active else None
        publication = HotPublication(ready, key, session, service.echo, frame.seq, ack)
        if self._trace is None:
            self._rooms[room].tell(publication)
        else:
            self._tell_sampled(self._rooms[room], publication, self._trace)

    def _on_ping(self, ping: Ping) -> None:
        if self.state is State.OPEN and self._may_send_control_frame():
            self._outlet.offer(Frame(pong_frame(ping.payload), Lane.CONTROL, None))

    def _on_pong(self, _: Pong) -> None:
        """Its arrival is what counts; the transport has noted it."""
        self._may_send_control_frame()

    def _may_send_control_frame(self) -> bool:
        now = self._tenant.now()
        if self._control_frames is None:
            self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_FRAMES_BURST, now)
        if self._control_frames.take(now):
            return True
        self._counters.decisions.count(Reason.RATE_LIMITED_CONTROL)
        self._close(CloseConnection(CloseCode.RATE_LIMITED, "too many control frames"))
        return False

    def _on_close_received(self, event: CloseReceived) -> None:
        if self.state in (State.OPENING, State.OPEN):
            self._move(State.CLOSING)
            known = event.code is not None and event.code < _FIRST_PRIVATE_CODE
            self.close_code = event.code if known else _NO_STATUS_RECEIVED
            self.close_reason = "closed by the client"
            self._outlet.close(close_frame(event.code), discard=True)
        self._outlet.peer_closed()

    def _on_violation(self, violation: Violation) -> None:
        self._close(CloseConnection(violation.code, violation.reason), linger=False)

    # What a service asks for

    def _publish(self, effect: Publish, envelope: Envelope) -> None:
        room = effect.room or self.active_room
        seq = envelope.seq
        if room is None:
            self._refuse(Reason.NO_ACTIVE_ROOM, ErrorCode.NOT_ALLOWED, "join a room first", seq)
            return
        if self.session.principal.read_only:
            self._refuse(Reason.READ_ONLY, ErrorCode.NOT_ALLOWED, "this ticket may not publish", seq)
            return
        publication = ExtPublication(
            effect.svc,
            effect.type,
            effect.data,
            self.session,
            seq,
            envelope.flags & ACK_REQUESTED != 0,
        )
        ref = self._rooms.get(room)
        if ref is not None:
            taken = ref.tell(publication) if self._trace is None else self._tell_sampled(ref, publication, self._trace)
        elif self._tenant.rules.publish_requires_membership:
            self._refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
            return
        elif not self.session.principal.may_enter(room):
            self._refuse(Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not publish there", seq)
            return
        else:
            taken = self._tenant.ref.tell(PublishToRoom(room, publication))
        if not taken:
            self._refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, "the room is overloaded", seq)

    @staticmethod
    def _tell_sampled(room: ActorRef, publication: ExtPublication | HotPublication, trace: MessageTrace) -> bool:
        trace.handed_on = room.tell(SampledPublication(publication, trace))
        return trace.handed_on

    def _reply(self, effect: Reply, envelope: Envelope) -> None:
        message: dict[str, Any] = {"v": sysmsg.VERSION, "svc": effect.svc, "type": effect.type}
        if envelope.seq is not None:
            message["seq"] = envelope.seq
        message["data"] = effect.data
        self._outlet.send(message)

    def _join(self, effect: JoinRoom, envelope: Envelope) -> None:
        if not self.session.principal.may_enter(effect.room):
            self._refuse(
                Reason.NOT_ALLOWED_ROOM, ErrorCode.NOT_ALLOWED, "this ticket may not join the room", envelope.seq
            )
            return
        self._ask_tenant(JoinRequest(self.session, effect.room, envelope.seq), effect.room, envelope.seq)

    def _leave(self, effect: LeaveRoom, envelope: Envelope) -> None:
        room = self._joined_room(effect.room, envelope.seq)
        if room is not None:
            self._ask_tenant(LeaveRequest(self.session, room, envelope.seq), room, envelope.seq)

    def _ask_tenant(self, request: JoinRequest | LeaveRequest, room: str, seq: int | None) -> None:
        if self._tenant.ref.tell(request):
            self._awaiting = room
        else:
            self._refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, "the gateway is overloaded", seq)

    def _list_members(self, effect: ListMembers, envelope: Envelope) -> None:
        room = self._joined_room(effect.room, envelope.seq)
        if room is not None and not self._rooms[room].tell(MembersQuery(self.session, envelope.seq)):
            self._refuse(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, "the room is overloaded", envelope.seq)

    def _joined_room(self, named: str | None, seq: int | None) -> str | None:
        """The room that a message names, or the active one; None, and the client told, when it has not joined it."""
        room = named or self.active_room
        if room is not None and room in self._rooms:
            return room
        self._refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
        return None

    def _refuse_by_service(self, effect: Refuse, envelope: Envelope) -> None:
        self._refuse(Reason.BAD_REQUEST, effect.code, effect.msg, envelope.seq)

    # What other actors say

    def _on_attached(self, message: Attached) -> None:
        session, refused = self.session, self._refused
        self._outlet.attach(message.transport)
        if self.state is not State.OPENING:
            return
        if refused is not None:
            notice = sysmsg.error(refused.code, "too many sessions of this user", session.trace_id)
            self._close(CloseConnection(CloseCode.TOO_MANY_SESSIONS, "too many sessions", notice))
            return
        self._move(State.OPEN)
        self._greet()
        self._note("opened")
        _log.info("connection opened", extra=self._log_fields())

    def _greet(self) -> None:
        session = self.session
        self._outlet.send(sysmsg.authed(self._tenant.id, session.user, session.sid, session.trace_id))

    def _on_join_accepted(self, message: JoinAccepted) -> None:
        room = message.room
        self._rooms.pop(room, None)
        self._rooms[room] = message.ref
        self.active_room = self.session.active_room = room
        self._note("joined", room=room)
        if message.asked:
            if self._awaiting == room and not self.session.principal.may_enter(room):
                self._put_out_of(room)  # a refresh has narrowed the ticket while the join was under way
            self._settle(room)

    def _on_join_denied(self, message: JoinDenied) -> None:
        self._refuse(message.denied.reason, message.denied.code, _JOIN_DENIALS[message.denied.reason], message.seq)
        self._settle(message.room)

    def _on_left(self, message: Left) -> None:
        self._forget_room(message.room)
        self._note("left", room=message.room)
        if message.asked:
            self._settle(message.room)

    def _on_leave_denied(self, message: LeaveDenied) -> None:
        if self._awaiting == message.room:
            self._refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", message.seq)
        self._settle(message.room)

    def _forget_room(self, room: str) -> None:
        self._rooms.pop(room, None)
        self.active_room = self.session.active_room = next(reversed(self._rooms), None)

    def _settle(self, room: str) -> None:
        """The join or leave under way is decided: hear what was kept back, up to the next one."""
        if self._awaiting != room:
            return
        self._awaiting = None
        held_back = self._held_back
        while held_back and self._awaiting is None and self.state is State.OPEN:
            message = held_back.popleft()
            self._held_back_bytes -= len(message)
            self._on_message(message)
        if not self._holds_back_enough() and self._outlet.transport is not None:
            self._outlet.transport.resume_reading()

    def _hold_back(self, message: str | bytes) -> None:
        self._held_back.append(message)
        self._held_back_bytes += len(message)
        if self._holds_back_enough() and self._outlet.transport is not None:
            self._outlet.transport.pause_reading()

    def _holds_back_enough(self) -> bool:
        return len(self._held_back) >= _MAX_HELD_BACK or self._held_back_bytes >= _MAX_HELD_BACK_BYTES

    def _on_draining(self, message: Draining) -> None:
        if self.state is State.OPEN:
            self._outlet.send(sysmsg.draining(message.reconnect_after_ms, self.session.trace_id), Lane.CONTROL)

    def _on_rules_changed(self, _: RulesChanged) -> None:
        """Only what is held here follows; everything else is read from the rules with each message."""
        rules = self._tenant.rules
        self._tenant.configure(self._limiter)
        self._outlet.configure(rules.queue_limits, rules.hot_flush_s)
        if self._outlet.transport is not None:
            self._outlet.transport.limit_message_bytes(rules.limits.max_frame_bytes)

    def _on_transport_lost(self, message: TransportLost) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = _ABNORMAL_CLOSURE, message.reason
        self._log_closed()
        self._move(State.CLOSED)
        self.context.stop()

    def _close(self, message: CloseConnection, *, linger: bool = True) -> None:
        if self.state not in (State.OPENING, State.OPEN):
            return
        self._move(State.CLOSING)
        self.close_code, self.close_reason = message.code, message.reason
        if message.code == CloseCode.SLOW_CONSUMER:
            self._counters.slow_disconnects += 1
        if message.notice is not None and not message.discard:
            self._outlet.send(message.notice, Lane.CONTROL)
        self._outlet.close(close_frame(message.code, message.reason), discard=message.discard, linger=linger)

    # Helpers

    def _note(self, event: str, **attributes: Any) -> None:
        if self.session.trace is not None:
            self.session.trace.note(event, **attributes)

    def _end_trace(self, trace: MessageTrace) -> None:
        self._trace = None
        trace.dispatched()

    def _refuse(self, reason: Reason, code: ErrorCode, msg: str, seq: int | None = None) -> None:
        self._counters.decisions.count(reason)
        if self._trace is not None:
            self._trace.outcome = reason.value
        self._outlet.send(sysmsg.error(code, msg, self.session.trace_id, seq), Lane.CONTROL)

    def _refuse_hot(self, reason: Reason, code: ErrorCode, msg: str, seq: int | None = None) -> None:
        if self._tenant.rules.hot_errors_silent:
            self._counters.decisions.count(reason)
        else:
            self._refuse(reason, code, msg, seq)

    def _close_if_too_long_over_limit(self, now: float) -> None:
        if self._limiter.must_close(now):
            self._close(CloseConnection(CloseCode.RATE_LIMITED, "rate limit kept being exceeded"))

    def _refresh(self, envelope: Envelope) -> None:
        data = self.decode_data(envelope, RefreshData)
        if isinstance(data, DataFault):
            self._refuse(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, data.msg, envelope.seq)
            return
        if self._refreshing:
            self._refuse(Reason.BAD_REQUEST, ErrorCode.BAD_REQUEST, "a refresh is under way", envelope.seq)
            return
        now = self._tenant.now()
        if self._refreshes is None:
            self._refreshes = TokenBucket(_REFRESHES_PER_S, _REFRESHES_BURST, now)
        if not self._refreshes.take(now):
            self._refuse(Reason.RATE_LIMITED_EXT, ErrorCode.RATE_LIMITED, "too many refreshes", envelope.seq)
            return
        self._refreshing = True
        seq = envelope.seq
        session = self.session
        request = TicketRequest(
            self._tenant.id, data.ticket, session.remote_address, origin=session.origin, user_agent=session.user_agent
        )
        self.context.run(
            self._tenant.authenticator.authenticate(request),
            on_result=lambda principal: Refreshed(principal, seq),
            on_error=lambda _: Refreshed(None, seq),
        )

    def _on_refreshed(self, message: Refreshed) -> None:
        self._refreshing = False
        if self.state is not _OPEN:
            return
        tenant, session, principal = self._tenant, self.session, message.principal
        if principal is None or principal.user != session.user:
            self._refuse(Reason.AUTH_FAILED, ErrorCode.AUTH_FAILED, "ticket refused", message.seq)
            return
        if tenant.revocations.covers(session.user, session.sid, principal.token_id, tenant.unix_now()):
            self._refuse(Reason.REVOKED, ErrorCode.AUTH_FAILED, "ticket refused", message.seq)
            return
        before, session.principal = session.principal, principal
        self._outlet.send(sysmsg.refreshed(principal.expires_at, session.trace_id, message.seq))
        for room in tuple(self._rooms):
            if before.may_enter(room) and not principal.may_enter(room):
                self._put_out_of(room)

    def _put_out_of(self, room: str) -> None:
        """Out of a room that the ticket no longer allows: mute there at once, told ``sys.left`` by the room."""
        self._forget_room(room)
        self._tenant.ref.tell_control(LeaveRequest(self.session, room, None))

    def _move(self, state: State) -> None:
        if state not in _NEXT[self.state]:
            raise InternalError(f"a connection cannot go from {self.state.name} to {state.name}")
        self.state = state

    def _log_fields(self) -> dict[str, Any]:
        session = self.session
        return {
            "tenant": self._tenant.id,
            "user": session.user,
            "sid": session.sid,
            "remote": session.remote_address,
            "trace_id": session.trace_id,
        }

    def _log_closed(self) -> None:
        code = self.close_code if self.close_code is not None else _ABNORMAL_CLOSURE
        self._counters.closed[code if code < _FIRST_PRIVATE_CODE or code in _OWN_CODES else CloseCode.KICKED] += 1
        lasted_s = round(self._tenant.now() - self.session.opened_at, 3)
        fields = {"code": code, "reason": self.close_reason, "lasted_s": lasted_s}
        if self.session.trace is not None:
            about = {"tenant": self._tenant.id, "user": self.session.user, "sid": self.session.sid}
            self.session.trace.done(**about, code=code, reason=self.close_reason)
        _log.info("connection closed", extra=self._log_fields() | fields)


def _begins_with_map(message: bytes) -> bool:
    """Whether a binary frame of a MessagePack client is an ext message (protocol.md: subprotocols)."""
    return bool(message) and (message[0] & 0xF0 == 0x80 or message[0] in (0xDE, 0xDF))


_EFFECTS: dict[type, Callable[[Connection, Any, Envelope], None]] = {
    Publish: Connection._publish,
    Reply: Connection._reply,
    JoinRoom: Connection._join,
    LeaveRoom: Connection._leave,
    ListMembers: Connection._list_members,
    Refuse: Connection._refuse_by_service,
}

_HANDLERS: dict[type, Callable[[Connection, Any], None]] = {
    Attached: Connection._on_attached,
    CloseConnection: Connection._close,
    CloseReceived: Connection._on_close_received,
    Draining: Connection._on_draining,
    JoinAccepted: Connection._on_join_accepted,
    JoinDenied: Connection._on_join_denied,
    LeaveDenied: Connection._on_leave_denied,
    Left: Connection._on_left,
    Ping: Connection._on_ping,
    Pong: Connection._on_pong,
    Refreshed: Connection._on_refreshed,
    RulesChanged: Connection._on_rules_changed,
    TransportLost: Connection._on_transport_lost,
    Violation: Connection._on_violation,
}
