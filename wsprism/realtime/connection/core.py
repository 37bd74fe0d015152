"""What the parts of a connection stand on: what it holds, how it refuses, how it ends.

The parts (ext lane, hot lane, effects, membership, refresh, the socket's events) are functions over a ``Core``, because
an idle connection should hold no more than it must. They know it and not each other's caller; ``Connection`` is the
one that brings them together.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from actors import Actor
from qos import Lane
from wsprism.errors import InternalError
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.ports import BackendLine
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import Envelope
from wsprism.protocol.traces import MessageTrace
from wsprism.realtime.connection.pending import Pending
from wsprism.realtime.connection.state import NEXT, State
from wsprism.realtime.connection.untold import MOST_PONGS, MOST_REFUSALS, TELL_UNTOLD_S, TellUntold, Untold
from wsprism.realtime.decision import Acknowledgement, Decision
from wsprism.realtime.messages import CloseConnection, LeaveRequest, NextSlice
from wsprism.realtime.room.inbox import Inbox
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.session import Session

__all__ = ["ABNORMAL_CLOSURE", "FIRST_PRIVATE_CODE", "ROOM_OVERLOADED", "Core"]

_log = logging.getLogger("wsprism.connection")

_HEARD_AT_ONCE: Final = 64
"""Of what stood in the line, before the loop has its turn."""

ROOM_OVERLOADED: Final = "the room is overloaded"

ABNORMAL_CLOSURE: Final = 1006
FIRST_PRIVATE_CODE: Final = 3000
"""From here on clients and backends may close with whatever they like; a count's label is never their choice."""
_OWN_CODES: Final = frozenset(map(int, CloseCode))

_SURPLUS: Final = frozenset({CloseCode.KICKED, CloseCode.TOO_MANY_SESSIONS})
"""Ends of sessions whose place somebody else may have by now."""

_OPEN: Final = State.OPEN


class Core(Actor):
    """``refused`` is the tenant's no to this session: it is told to the client as soon as the socket is there."""

    def __init__(self, tenant: TenantContext, session: Session, refused: Denied | None = None) -> None:
        self.tenant_context = tenant
        self.session = session
        self.refused = refused
        self.outlet = session.outlet
        self.codec = session.outlet.format.codec
        self.counters = tenant.counters
        self.limiter = tenant.rate_limiter()
        self.state = State.OPENING
        self.close_code: int | None = None
        self.close_reason = ""
        self.trace: MessageTrace | None = None
        self.rooms: dict[str, Inbox] = {}
        self.pending: Pending | None = None
        self.lines: dict[str, BackendLine] | None = None
        self.untold: Untold | None = None
        self.control_frames: TokenBucket | None = None
        self.faults_in_row = 0
        self.refreshing = False
        self.refreshes: TokenBucket | None = None

    def hear(self, event: object) -> None:
        """One event of the socket whose turn has come."""
        raise NotImplementedError

    # What a service may know of the sender

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
    def generation(self) -> int:
        return self.session.generation

    @property
    def active_room(self) -> str | None:
        return self.session.active_room

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.session.principal.metadata

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return self.codec.decode_data(envelope.data, type)

    # The one order of what the socket says

    def expect(self, decision: Decision) -> None:
        """Wait for ``decision``; if it holds back, so does everything that the socket says from now on."""
        if self.pending is None:
            self.pending = Pending()
        self.pending.expect(decision)

    def settle(self, decision: Decision | None, *, granted: bool) -> None:
        """``decision`` is known: hear what it held back, up to the next one."""
        pending = self.pending
        if decision is not None and pending is not None and pending.settle(decision):
            if decision.acknowledgement is not None:
                self.acknowledge(decision.acknowledgement, granted=granted)
            self.go_on()

    def acknowledge(self, acknowledgement: Acknowledgement, *, granted: bool) -> None:
        """One part of what is to be acknowledged is decided; the last of them tells the client, if all were granted."""
        if acknowledgement.settle(granted=granted):
            self.outlet.send(sysmsg.ack(acknowledgement.seq, self.session.trace_id, acknowledgement.offset))

    def hold_back(self, event: object) -> bool:
        """Put ``event`` into the line; False: there is none, and its turn is now."""
        pending = self.pending
        if pending is None or not (pending.holding or pending.line) or not self.is_open:
            return False
        pending.hold_back(event)
        if pending.full and self.outlet.transport is not None:
            self.outlet.transport.pause_reading()
        return True

    def go_on(self) -> None:
        """Hear the line in its order, some at a time, until something in it holds back the rest."""
        pending = self.pending
        if pending is None:
            return
        left = _HEARD_AT_ONCE
        while pending.line and not pending.holding and left:
            left -= 1
            self.hear(pending.next())
        if self.pending is not pending:
            return  # heard to the end by a close
        if pending.line and not pending.holding:
            self.context.ref.tell_control(NextSlice())
        elif pending.idle:
            self.pending = None
        if not pending.full and self.outlet.transport is not None:
            self.outlet.transport.resume_reading()

    def let_go(self) -> None:
        """Wait for nothing more: messages in the line are not heard; how the socket ended is."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        while pending.line:
            event = pending.next()
            if not isinstance(event, str | bytes):
                self.hear(event)
        if self.outlet.transport is not None:
            self.outlet.transport.resume_reading()

    # Refusals and ends

    def refuse(self, reason: Reason, code: ErrorCode, msg: str, seq: int | None = None) -> None:
        """Count a refusal and tell the client; ``msg`` must hold nothing internal."""
        self.counters.decisions.count(reason)
        if self.trace is not None:
            self.trace.outcome = reason.value
        if self._has_room(MOST_REFUSALS, 4):
            self.outlet.send(sysmsg.error(code, msg, self.session.trace_id, seq), Lane.CONTROL)
        else:
            untold = self._tell_later()
            untold.refusals += 1
            untold.code = code

    def pong(self, payload: bytes) -> None:
        """Answer a ping frame; of many that wait, the newest."""
        if self._has_room(MOST_PONGS, 2):
            self.outlet.pong(payload)
        else:
            self._tell_later().pong = payload

    def tell_untold(self) -> None:
        """What could not be told at once, in one message."""
        untold, self.untold = self.untold, None
        if untold is None or not self.is_open:
            return
        if not self._has_room(MOST_REFUSALS, 4):
            self.untold = untold
            self.context.call_later(TELL_UNTOLD_S, TellUntold())
            return
        if untold.refusals:
            msg = f"{untold.refusals} more messages were refused, which are not told one by one"
            notice = sysmsg.error(untold.code, msg, self.session.trace_id)
            self.outlet.send(notice, Lane.CONTROL)
        if untold.pong is not None:
            self.outlet.pong(untold.pong)

    def _has_room(self, most: int, share: int) -> bool:
        """Whether the control class holds less than ``most`` frames and less than its ``share``-th part."""
        whole = self.tenant_context.rules.queue_limits.control_max_messages
        return self.outlet.queue.control_count < min(most, whole // share)

    def _tell_later(self) -> Untold:
        if self.untold is None:
            self.untold = Untold()
            self.context.call_later(TELL_UNTOLD_S, TellUntold())
        return self.untold

    def close_if_too_long_over_limit(self, now: float) -> None:
        if self.limiter.must_close(now):
            self.close(CloseConnection(CloseCode.RATE_LIMITED, "rate limit kept being exceeded"))

    def close(self, message: CloseConnection, *, linger: bool = True) -> None:
        """Send what is queued and a Close; what the client has said and that waits is not heard."""
        if self.state not in (State.OPENING, State.OPEN):
            return
        self.move(State.CLOSING)
        self.close_code, self.close_reason = message.code, message.reason
        if message.code == CloseCode.SLOW_CONSUMER:
            self.counters.slow_disconnects += 1
        if message.notice is not None and not message.discard:
            self.outlet.send(message.notice, Lane.CONTROL)
        surplus = message.code in _SURPLUS
        self.outlet.close(message.code, message.reason, discard=message.discard, linger=linger, surplus=surplus)
        self.let_go()

    def move(self, state: State) -> None:
        """Go on to ``state``."""
        if state not in NEXT[self.state]:
            raise InternalError(f"a connection cannot go from {self.state.name} to {state.name}")
        self.state = state

    # Rooms

    def joined_room(self, named: str | None, seq: int | None) -> str | None:
        """The room that a message names, or the active one; None, and the client told, when it has not joined it."""
        room = named or self.active_room
        if room is not None and room in self.rooms:
            return room
        self.refuse(Reason.NOT_MEMBER, ErrorCode.NOT_ALLOWED, "not a member of the room", seq)
        return None

    def forget_room(self, room: str) -> None:
        """It is no member of ``room`` any more; the last other one that it joined is the active one."""
        self.rooms.pop(room, None)
        self.session.active_room = next(reversed(self.rooms), None)

    def put_out_of(self, room: str) -> None:
        """Out of a room that the ticket no longer allows: mute there at once, told ``sys.left`` by the room."""
        self.forget_room(room)
        self.tenant_context.ref.tell_control(LeaveRequest(self.session, room, None))

    # For whoever watches

    def note(self, event: str, **attributes: Any) -> None:
        """An event in the life of a connection that is traced."""
        if self.session.trace is not None:
            self.session.trace.note(event, **attributes)

    def log_opened(self) -> None:
        _log.info("connection opened", extra=self._log_fields())

    def log_closed(self) -> None:
        """Count and tell how it ended, once."""
        code = self.close_code if self.close_code is not None else ABNORMAL_CLOSURE
        self.counters.closed[code if code < FIRST_PRIVATE_CODE or code in _OWN_CODES else CloseCode.KICKED] += 1
        self.session.ended_with = (code, self.close_reason)
        lasted_s = round(self.tenant_context.now() - self.session.opened_at, 3)
        fields = {"code": code, "reason": self.close_reason, "lasted_s": lasted_s}
        if self.session.trace is not None:
            about = {"tenant": self.tenant_context.id, "user": self.session.user, "sid": self.session.sid}
            self.session.trace.done(**about, code=code, reason=self.close_reason)
        _log.info("connection closed", extra=self._log_fields() | fields)

    def _log_fields(self) -> dict[str, Any]:
        session = self.session
        return {
            "tenant": self.tenant_context.id,
            "user": session.user,
            "sid": session.sid,
            "remote": session.remote_address,
            "trace_id": session.trace_id,
        }
