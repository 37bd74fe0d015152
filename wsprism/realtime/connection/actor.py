"""One client's connection: what it may say, which rooms it is in, how it ends.

Frames of its socket come in as str and bytes (plus the control events of ``protocol.websocket``); everything it sends
goes to its outlet. Limits that span connections are its tenant's business. It handles a message to the end without
waiting; while a join or leave is under way, its further messages are kept back so that their order holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from actors import Actor
from qos import Frame, Lane
from wsprism.errors import InternalError
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.ports import BackendLine, Unanswered
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import Envelope
from wsprism.protocol.frames import close_frame, pong_frame
from wsprism.protocol.traces import MessageTrace
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.carry_out import carry_out
from wsprism.realtime.connection.ext_lane import hear_ext
from wsprism.realtime.connection.held_back import Decision, HeldBack, Said
from wsprism.realtime.connection.hot_lane import hear_hot
from wsprism.realtime.connection.later import refuse_unanswered
from wsprism.realtime.connection.refresh import refresh
from wsprism.realtime.connection.refusals import TellLeftOut, refuse, tell_left_out
from wsprism.realtime.connection.state import NEXT, State
from wsprism.realtime.messages import (
    Answered,
    Attached,
    CloseConnection,
    Draining,
    JoinAccepted,
    JoinDenied,
    LeaveDenied,
    LeaveRequest,
    Left,
    Refreshed,
    RulesChanged,
    TransportLost,
)
from wsprism.realtime.room.inbox import Inbox
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session

__all__ = ["Connection", "State"]

_log = logging.getLogger("wsprism.connection")

_CONTROL_FRAMES_PER_S = 50
_CONTROL_FRAMES_BURST = 256
"""What pings and pongs a client may send, beside its messages: far more than any keepalive, far less than a flood."""

_NO_STATUS_RECEIVED = 1005
_ABNORMAL_CLOSURE = 1006
_FIRST_PRIVATE_CODE = 3000
"""From here on clients and backends may close with whatever they like; a count's label is never their choice."""
_OWN_CODES = frozenset(map(int, CloseCode))

_SURPLUS = frozenset({CloseCode.KICKED, CloseCode.TOO_MANY_SESSIONS})
"""Ends of sessions whose place somebody else may have by now."""

_JOIN_DENIALS = {
    Reason.ROOM_FULL: "the room is full",
    Reason.TOO_MANY_ROOMS: "the tenant has no room for another room",
    Reason.TOO_MANY_ROOMS_PER_USER: "too many rooms of this user",
}


_OPEN = State.OPEN


class Connection(Actor):
    """``refused`` is the tenant's no to this session: it is told to the client as soon as the socket is there."""

    def __init__(self, tenant: TenantContext, session: Session, refused: Denied | None = None) -> None:
        self.tenant_context = tenant
        self.session = session
        self.state = State.OPENING
        self.close_code: int | None = None
        self.close_reason = ""
        self._refused = refused
        self._outlet = session.outlet
        self.codec = session.outlet.format.codec
        self._binary = self.codec.binary
        self._counters = tenant.counters
        self.limiter = tenant.rate_limiter()
        self._sampler = tenant.sampler
        self.trace: MessageTrace | None = None
        self.rooms: dict[str, Inbox] = {}
        self._lines: dict[str, BackendLine] | None = None
        self.awaiting: Decision | None = None
        self._held_back: HeldBack | None = None
        self._control_frames: TokenBucket | None = None
        self.faults_in_row = 0
        self.left_out = 0
        self.left_out_code = ErrorCode.RATE_LIMITED
        self.refreshing = False
        self.refreshes: TokenBucket | None = None

    @property
    def is_open(self) -> bool:
        """Whether what the client says is heard."""
        return self.state is _OPEN and not self.session.ended

    @property
    def tenant(self) -> str:
        return self.tenant_context.id

    @property
    def user(self) -> str:
        return self.session.user

    @property
    def sid(self) -> str:
        return self.session.sid

    @property
    def active_room(self) -> str | None:
        return self.session.active_room

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return self.codec.decode_data(envelope.data, type)

    def receive(self, message: object) -> None:
        kind = message.__class__
        if kind is str or kind is bytes:
            if self.awaiting is not None:
                self.hold_back(message)  # type: ignore[arg-type]
            elif self.state is not _OPEN or self.session.ended:
                return
            else:
                sampler = self._sampler
                sampler.remaining -= 1
                if sampler.remaining < 0:
                    self.trace = sampler.begin(self.tenant_context.id, self.session)
                if kind is str:
                    hear_ext(self, message)  # type: ignore[arg-type]
                else:
                    self._on_message(message)  # type: ignore[arg-type]
                if self.trace is not None:
                    self._end_trace(self.trace)
        else:
            _HANDLERS[kind](self, message)

    def line_of(self, svc: str) -> BackendLine | None:
        """Where its messages to a webhook service wait; None: there is no such service at the backend (any more)."""
        lines, backend = self._lines, self.tenant_context.backend
        line = None if lines is None else lines.get(svc)
        if line is None and backend is not None:
            line = backend.line(svc)
            if line is not None:
                if self._lines is None:
                    self._lines = {}
                self._lines[svc] = line
        return line

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """This connection alone ends; its client is told so without a detail."""
        if self.state in (State.OPENING, State.OPEN):
            notice = sysmsg.error(ErrorCode.INTERNAL, "internal error", self.session.trace_id)
            self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", notice))

    def on_stop(self) -> None:
        """Stopped from above: the socket goes too."""
        if self.state in (State.OPENING, State.OPEN):
            self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", discard=True))
        if self.state is not State.CLOSED:
            self._log_closed()
        backend = self.tenant_context.backend
        if self._lines is not None and backend is not None:
            for line in self._lines.values():
                backend.withdraw(line)

    # What the client says

    def _on_message(self, message: str | bytes) -> None:
        if isinstance(message, str) or (self._binary and _begins_with_map(message)):
            hear_ext(self, message)
        else:
            hear_hot(self, message)

    def _on_ping(self, ping: Ping) -> None:
        if self.state is State.OPEN and self._may_send_control_frame():
            self._outlet.offer(Frame(pong_frame(ping.payload), Lane.CONTROL, None))

    def _on_pong(self, _: Pong) -> None:
        """Its arrival is what counts; the transport has noted it."""
        self._may_send_control_frame()

    def _may_send_control_frame(self) -> bool:
        now = self.tenant_context.now()
        if self._control_frames is None:
            self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_FRAMES_BURST, now)
        if self._control_frames.take(now):
            return True
        self._counters.decisions.count(Reason.RATE_LIMITED_CONTROL)
        self.close(CloseConnection(CloseCode.RATE_LIMITED, "too many control frames"))
        return False

    def _on_close_received(self, event: CloseReceived) -> None:
        if self.awaiting is not None and self.is_open:
            self.hold_back(event)
            return
        if self.state in (State.OPENING, State.OPEN):
            self._move(State.CLOSING)
            known = event.code is not None and event.code < _FIRST_PRIVATE_CODE
            self.close_code = event.code if known else _NO_STATUS_RECEIVED
            self.close_reason = "closed by the client"
            self._outlet.close(close_frame(event.code), discard=True)
        self._outlet.peer_closed()

    def _on_violation(self, violation: Violation) -> None:
        if self.awaiting is not None and self.is_open:
            self.hold_back(violation)
            return
        self.close(CloseConnection(violation.code, violation.reason), linger=False)

    # What other actors say

    def _on_attached(self, message: Attached) -> None:
        session, refused = self.session, self._refused
        self._outlet.attach(message.transport)
        if self.state is not State.OPENING:
            return
        if refused is not None:
            notice = sysmsg.error(refused.code, "too many sessions of this user", session.trace_id)
            self.close(CloseConnection(CloseCode.TOO_MANY_SESSIONS, "too many sessions", notice))
            return
        self._move(State.OPEN)
        self._greet()
        self._note("opened")
        _log.info("connection opened", extra=self._log_fields())

    def _greet(self) -> None:
        session = self.session
        self._outlet.send(
            sysmsg.authed(
                self.tenant_context.id, session.user, session.sid, session.principal.expires_at, session.trace_id
            )
        )

    def _on_join_accepted(self, message: JoinAccepted) -> None:
        room = message.room
        self.rooms.pop(room, None)
        self.rooms[room] = message.inbox
        self.session.active_room = room
        self._note("joined", room=room)
        if message.asked:
            if self.awaiting is not None and not self.session.principal.may_enter(room):
                self.put_out_of(room)  # a refresh has narrowed the ticket while the join was under way
            self.settle(room)

    def _on_join_denied(self, message: JoinDenied) -> None:
        self.refuse(message.denied.reason, message.denied.code, _JOIN_DENIALS[message.denied.reason], message.seq)
        self.settle(message.room)

    def _on_left(self, message: Left) -> None:
        inbox = self.rooms.get(message.room)
        if inbox is not None and inbox.ref is message.ref:
            self._forget_room(message.room)
        self.session.has_left(message.ref)
        self._note("left", room=message.room)
        if message.asked:
            self.settle(message.room)

    def _on_leave_denied(self, message: LeaveDenied) -> None:
        if self.awaiting is not None and self.awaiting.room == message.room:
            self.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", message.seq)
        self.settle(message.room)

    def _forget_room(self, room: str) -> None:
        self.rooms.pop(room, None)
        self.session.active_room = next(reversed(self.rooms), None)

    def settle(self, room: str) -> None:
        """The join or leave under way is decided: hear what was kept back, up to the next one."""
        if self.awaiting is None or self.awaiting.room != room:
            return
        self.awaiting = None
        held_back = self._held_back
        if held_back is None:
            return
        while held_back and self._hears():
            said = held_back.next()
            if isinstance(said, str | bytes):
                if self.is_open:
                    self._on_message(said)
            else:
                _HANDLERS[said.__class__](self, said)
        if not held_back:
            self._held_back = None
        if not held_back.enough and self._outlet.transport is not None:
            self._outlet.transport.resume_reading()

    def _hears(self) -> bool:
        """Whether the next of what was kept back is for now; one that is heard may change it."""
        return self.awaiting is None and self.state is not State.CLOSED

    def hold_back(self, said: Said) -> None:
        """Keep what the client said or did until the decision under way is made."""
        held_back = self._held_back
        if held_back is None:
            held_back = self._held_back = HeldBack()
        held_back.add(said)
        if held_back.enough and self._outlet.transport is not None:
            self._outlet.transport.pause_reading()

    def _on_answered(self, message: Answered) -> None:
        """What a message has brought about. The client hears of it while it is heard itself; others in any case."""
        if not self.is_open:
            self.tenant_context.ref.tell_control(message)
        elif isinstance(message.result, Unanswered):
            refuse_unanswered(self, message.result, message.origin.seq)
        else:
            carry_out(self, message.result, message.origin)

    def _on_draining(self, message: Draining) -> None:
        if self.state is State.OPEN:
            self._outlet.send(sysmsg.draining(message.reconnect_after_ms, self.session.trace_id), Lane.CONTROL)

    def _on_rules_changed(self, _: RulesChanged) -> None:
        """Only what is held here follows; everything else is read from the rules with each message."""
        rules = self.tenant_context.rules
        self.tenant_context.configure(self.limiter)
        self._outlet.configure(rules.queue_limits, rules.hot_flush_s)
        if self._outlet.transport is not None:
            self._outlet.transport.limit_message_bytes(rules.limits.max_frame_bytes)

    def _on_transport_lost(self, message: TransportLost) -> None:
        if self.awaiting is not None and self._held_back and self.is_open:
            self.hold_back(message)  # what was said before the end is heard before it
            return
        if self.close_code is None:
            self.close_code, self.close_reason = _ABNORMAL_CLOSURE, message.reason
        self._log_closed()
        self._move(State.CLOSED)
        self.context.stop()

    def close(self, message: CloseConnection, *, linger: bool = True) -> None:
        """Begin to end it; nothing when that has begun already."""
        if self.state not in (State.OPENING, State.OPEN):
            return
        self._move(State.CLOSING)
        self.close_code, self.close_reason = message.code, message.reason
        if message.code == CloseCode.SLOW_CONSUMER:
            self._counters.slow_disconnects += 1
        if message.notice is not None and not message.discard:
            self._outlet.send(message.notice, Lane.CONTROL)
        surplus = message.code in _SURPLUS
        frame = close_frame(message.code, message.reason)
        self._outlet.close(frame, discard=message.discard, linger=linger, surplus=surplus)

    # Helpers

    def _note(self, event: str, **attributes: Any) -> None:
        if self.session.trace is not None:
            self.session.trace.note(event, **attributes)

    def _end_trace(self, trace: MessageTrace) -> None:
        self.trace = None
        trace.dispatched()

    def refuse(self, reason: Reason, code: ErrorCode, msg: str, seq: int | None = None) -> None:
        """Count a refusal and tell the client; ``msg`` must hold nothing internal."""
        refuse(self, reason, code, msg, seq)

    def close_if_too_long_over_limit(self, now: float) -> None:
        """A client that goes on above its rate for the configured time."""
        if self.limiter.must_close(now):
            self.close(CloseConnection(CloseCode.RATE_LIMITED, "rate limit kept being exceeded"))

    def put_out_of(self, room: str) -> None:
        """Out of a room that the ticket no longer allows: mute there at once, told ``sys.left`` by the room."""
        self._forget_room(room)
        self.tenant_context.ref.tell_control(LeaveRequest(self.session, room, None))

    def _move(self, state: State) -> None:
        if state not in NEXT[self.state]:
            raise InternalError(f"a connection cannot go from {self.state.name} to {state.name}")
        self.state = state

    def _log_fields(self) -> dict[str, Any]:
        session = self.session
        return {
            "tenant": self.tenant_context.id,
            "user": session.user,
            "sid": session.sid,
            "remote": session.remote_address,
            "trace_id": session.trace_id,
        }

    def _log_closed(self) -> None:
        code = self.close_code if self.close_code is not None else _ABNORMAL_CLOSURE
        self._counters.closed[code if code < _FIRST_PRIVATE_CODE or code in _OWN_CODES else CloseCode.KICKED] += 1
        self.session.ended_with = (code, self.close_reason)
        lasted_s = round(self.tenant_context.now() - self.session.opened_at, 3)
        fields = {"code": code, "reason": self.close_reason, "lasted_s": lasted_s}
        if self.session.trace is not None:
            about = {"tenant": self.tenant_context.id, "user": self.session.user, "sid": self.session.sid}
            self.session.trace.done(**about, code=code, reason=self.close_reason)
        _log.info("connection closed", extra=self._log_fields() | fields)


def _begins_with_map(message: bytes) -> bool:
    """Whether a binary frame of a MessagePack client is an ext message (protocol.md: subprotocols)."""
    return bool(message) and (message[0] & 0xF0 == 0x80 or message[0] in (0xDE, 0xDF))


_HANDLERS: dict[type, Callable[[Connection, Any], None]] = {
    Answered: Connection._on_answered,
    Attached: Connection._on_attached,
    CloseConnection: Connection.close,
    CloseReceived: Connection._on_close_received,
    Draining: Connection._on_draining,
    JoinAccepted: Connection._on_join_accepted,
    JoinDenied: Connection._on_join_denied,
    LeaveDenied: Connection._on_leave_denied,
    Left: Connection._on_left,
    Ping: Connection._on_ping,
    Pong: Connection._on_pong,
    Refreshed: refresh,
    TellLeftOut: tell_left_out,
    RulesChanged: Connection._on_rules_changed,
    TransportLost: Connection._on_transport_lost,
    Violation: Connection._on_violation,
}
