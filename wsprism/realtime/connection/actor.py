"""One client's connection: what it may say, which rooms it is in, how it ends.

Frames of its socket come in as str and bytes (plus the control events of ``protocol.websocket``); everything it sends
goes to its outlet. Limits that span connections are its tenant's business. It handles a message to the end without
waiting; while a join or leave is under way, everything that its socket says is kept back so that its order holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from qos import Lane
from wsprism.ports import Unanswered
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.carry_out import carry_out, on_publish_decided
from wsprism.realtime.connection.core import Core
from wsprism.realtime.connection.deciding import decide_join
from wsprism.realtime.connection.ext_lane import hear_ext
from wsprism.realtime.connection.hot_lane import hear_hot
from wsprism.realtime.connection.later import refuse_unanswered, withdraw
from wsprism.realtime.connection.membership import on_join_accepted, on_join_denied, on_leave_denied, on_left
from wsprism.realtime.connection.refresh import refresh
from wsprism.realtime.connection.socket_events import (
    LastWords,
    on_close_received,
    on_lost,
    on_ping,
    on_pong,
    on_violation,
)
from wsprism.realtime.connection.state import State
from wsprism.realtime.connection.untold import TellUntold
from wsprism.realtime.messages import (
    Answered,
    Attached,
    CloseConnection,
    Draining,
    JoinAccepted,
    JoinDecided,
    JoinDenied,
    JoinRequest,
    LeaveDenied,
    Left,
    NextSlice,
    PublishDecided,
    Refreshed,
    RulesChanged,
    TransportLost,
)

__all__ = ["Connection"]

_OPEN: Final = State.OPEN


class Connection(Core):
    """The actor. Messages of its socket go to a lane; everything else is looked up in ``_HANDLERS``."""

    def receive(self, message: object) -> None:
        kind = type(message)
        if kind is str or kind is bytes:
            if self.pending is None or not self.hold_back(message):
                self.hear_message(message)  # type: ignore[arg-type]
        elif self.pending is None or kind not in _IN_ORDER or not self.hold_back(message):
            _HANDLERS[kind](self, message)

    def hear(self, event: object) -> None:
        if isinstance(event, str | bytes):
            self.hear_message(event)
        else:
            _HANDLERS[event.__class__](self, event)

    def hear_message(self, message: str | bytes) -> None:
        """One message whose turn has come."""
        session = self.session
        if self.state is not _OPEN or session.ended:
            return
        tenant = self.tenant_context
        sampler = tenant.sampler
        sampler.remaining -= 1
        if sampler.remaining < 0:
            self.trace = sampler.begin(tenant.id, session)
        if isinstance(message, str) or (self.codec.binary and _begins_with_map(message)):
            hear_ext(self, message)
        else:
            hear_hot(self, message)
        if self.trace is not None:
            trace, self.trace = self.trace, None
            trace.dispatched()

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        """This connection alone ends; its client is told so without a detail."""
        notice = sysmsg.error(ErrorCode.INTERNAL, "internal error", self.session.trace_id)
        self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", notice))

    def on_stop(self) -> None:
        """Stopped from above: the socket goes too."""
        self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", discard=True))
        if self.state is not State.CLOSED:
            self.log_closed()
        withdraw(self)

    def greet(self) -> None:
        """The first message to an accepted client."""
        session, decision = self.session, self.session.decision
        told: Any = None
        if decision is not None and bytes(decision.data):
            told = decision.data if not self.codec.binary else msgspec.json.decode(decision.data)
        expires_at = session.principal.expires_at
        self.outlet.send(
            sysmsg.authed(self.tenant_context.id, session.user, session.sid, expires_at, session.trace_id, told)
        )
        for room in () if decision is None else decision.rooms or ():
            self.tenant_context.ref.tell_control(JoinRequest(session, room, None))

    def _on_attached(self, message: Attached) -> None:
        refused = self.refused
        self.outlet.attach(message.transport)
        if self.state is not State.OPENING:
            return
        if refused is not None:
            notice = sysmsg.error(refused.code, "too many sessions of this user", self.session.trace_id)
            self.close(CloseConnection(CloseCode.TOO_MANY_SESSIONS, "too many sessions", notice))
            return
        self.move(State.OPEN)
        self.greet()
        self.note("opened")
        self.log_opened()

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
            self.outlet.send(sysmsg.draining(message.reconnect_after_ms, self.session.trace_id), Lane.CONTROL)

    def _on_rules_changed(self, _: RulesChanged) -> None:
        """Only what is held here follows; everything else is read from the rules with each message."""
        rules = self.tenant_context.rules
        self.tenant_context.configure(self.limiter)
        self.outlet.configure(rules.queue_limits, rules.hot_flush_s)
        if self.outlet.transport is not None:
            self.outlet.transport.limit_message_bytes(rules.limits.max_frame_bytes)

    def _on_next_slice(self, _: NextSlice) -> None:
        self.go_on()

    def _on_tell_untold(self, _: TellUntold) -> None:
        self.tell_untold()

    def _on_last_words(self, _: LastWords) -> None:
        self.let_go()


def _begins_with_map(message: bytes) -> bool:
    """Whether a binary frame of a MessagePack client is an ext message (protocol.md: subprotocols)."""
    return bool(message) and (message[0] & 0xF0 == 0x80 or message[0] in (0xDE, 0xDF))


_IN_ORDER: Final = frozenset({CloseReceived, Violation})
"""What of the socket's events, besides messages, waits in the line. Its end has a deadline besides: ``on_lost``."""

_HANDLERS: Final[dict[type, Callable[[Connection, Any], None]]] = {
    Answered: Connection._on_answered,
    Attached: Connection._on_attached,
    CloseConnection: Connection.close,
    CloseReceived: on_close_received,
    Draining: Connection._on_draining,
    JoinAccepted: on_join_accepted,
    JoinDecided: decide_join,
    JoinDenied: on_join_denied,
    LastWords: Connection._on_last_words,
    LeaveDenied: on_leave_denied,
    Left: on_left,
    NextSlice: Connection._on_next_slice,
    Ping: on_ping,
    Pong: on_pong,
    PublishDecided: on_publish_decided,
    Refreshed: refresh,
    RulesChanged: Connection._on_rules_changed,
    TellUntold: Connection._on_tell_untold,
    TransportLost: on_lost,
    Violation: on_violation,
}
