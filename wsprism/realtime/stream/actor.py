"""One stream of a tenant's backend: what its socket says is sorted here, and how it ends.

Answers and acks go to the hub in the same turn; calls wait in a line and are carried out in their order, one batch at a
time, beside the actor. Whoever sends calls faster than they are carried out is read no further meanwhile. Calls that
were heard before the socket's end are carried out after it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import Actor
from qos import Frame, Lane
from wsprism.policy.decisions import Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.frames import close_frame, pong_frame
from wsprism.protocol.stream import Fields, HotFromBackend, StreamCodec, StreamFault
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.state import State
from wsprism.realtime.messages import Attached, CloseConnection, Draining, TransportLost
from wsprism.realtime.room.publications import hot_publication

if TYPE_CHECKING:
    from wsprism.ports import StreamCalls, StreamHub
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.stream.session import StreamSession

__all__ = ["BackendStream"]

_log = logging.getLogger("wsprism.backend")

MAX_WAITING_CALLS: Final = 1024
MAX_WAITING_BYTES: Final = 1024 * 1024
"""Calls that wait while others are carried out; above either the socket is read no further."""

_CALLS_AT_ONCE: Final = 64
_ATTACHED_WITHIN_S: Final = 10.0
_CONTROL_FRAMES_PER_S: Final = 50
_CONTROL_FRAMES_BURST: Final = 256
_NO_STATUS_RECEIVED: Final = 1005
_ABNORMAL_CLOSURE: Final = 1006
_ENDED: Final = (State.CLOSING, State.CLOSED)


class _CallsDone:
    """To itself: the batch that was under way has been carried out."""


class _LookForSocket:
    """To itself: the socket should be there by now."""


_CALLS_DONE: Final = _CallsDone()


class BackendStream(Actor):
    """``calls`` has the rights of the key that the backend showed."""

    def __init__(
        self, tenant: TenantContext, session: StreamSession, codec: StreamCodec, hub: StreamHub, calls: StreamCalls
    ) -> None:
        self._tenant = tenant
        self._counters = tenant.counters.stream
        self._session = session
        self._outlet = session.outlet
        self._codec = codec
        self._hub = hub
        self._calls = calls
        self._state = State.OPENING
        self._waiting: deque[tuple[Fields, int]] = deque()
        self._waiting_bytes = 0
        self._under_way = False
        self._reading_paused = False
        self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_FRAMES_BURST, tenant.now())

    def on_start(self) -> None:
        self.context.call_later(_ATTACHED_WITHIN_S, _LookForSocket())

    def receive(self, message: object) -> None:
        if isinstance(message, str | bytes):
            if self._state is State.OPEN:
                self._hear(message)
        else:
            _HANDLERS[message.__class__](self, message)

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        self._close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error"))

    def on_stop(self) -> None:
        """Stopped from above: the socket goes too."""
        self._close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", discard=True))
        self._hub.gone(self._session)

    # What the backend says

    def _hear(self, message: str | bytes) -> None:
        counters = self._counters
        counters.received += 1
        counters.received_bytes += len(message)
        said = self._codec.read(message)
        if isinstance(said, StreamFault):
            self._refuse(said.reason)
        elif isinstance(said, HotFromBackend):
            self._publish(said)
        elif isinstance(said, list):
            self._hear_calls(said, len(message))
        elif "call" in said:
            self._hear_calls([said], len(message))
        else:
            wrong = self._hub.answered(self._session, said)
            if wrong is not None:
                self._refuse(wrong)

    def _publish(self, said: HotFromBackend) -> None:
        """A hot frame for everybody in a room; one that is gone meanwhile misses nothing."""
        tenant, counters = self._tenant, self._counters
        counters.hot_received += 1
        room = tenant.registry.room_numbers.name_of(said.room_number)
        if room is None:
            counters.hot_unknown_room += 1
            return
        most = tenant.rules.limits.max_backend_bytes
        if len(said.frame) > most:
            self._refuse(f"a hot frame has at most {most} bytes")
            return
        publication = hot_publication(said.frame, tenant.rules, room)
        if publication is None:
            self._refuse("a hot frame is a whole one in the tenant's framing, without the sender flag")
        elif not tenant.registry.rooms[room].inbox.publish(publication):
            tenant.counters.decisions.count(Reason.MAILBOX_FULL)

    def _hear_calls(self, calls: list[Fields], size_bytes: int) -> None:
        if not all("call" in one for one in calls):
            self._refuse("what stands in a list is a call")
            return
        share_bytes = size_bytes // len(calls)
        self._waiting.extend((one, share_bytes) for one in calls)
        self._waiting_bytes += share_bytes * len(calls)
        if not self._under_way:
            self._carry_out()
        elif self._too_much_waits() and not self._reading_paused and self._outlet.transport is not None:
            self._reading_paused = True
            self._outlet.transport.pause_reading()

    def _too_much_waits(self) -> bool:
        return len(self._waiting) > MAX_WAITING_CALLS or self._waiting_bytes > MAX_WAITING_BYTES

    def _carry_out(self) -> None:
        batch: list[Fields] = []
        while self._waiting and len(batch) < _CALLS_AT_ONCE:
            call, size_bytes = self._waiting.popleft()
            self._waiting_bytes -= size_bytes
            batch.append(call)
        self._under_way = True
        self._counters.calls += len(batch)
        self.context.run(
            self._calls.carry_out(batch, self._session.say),
            on_result=lambda _: _CALLS_DONE,
            on_error=self._calls_failed,
        )

    @staticmethod
    def _calls_failed(error: Exception) -> _CallsDone:
        _log.error("calls of a backend's stream could not be carried out", exc_info=error)
        return _CALLS_DONE

    def _on_calls_done(self, _: _CallsDone) -> None:
        self._under_way = False
        if self._waiting:
            self._carry_out()
        elif self._state is State.CLOSED:
            self.context.stop()
        if self._reading_paused and not self._too_much_waits() and self._outlet.transport is not None:
            self._reading_paused = False
            self._outlet.transport.resume_reading()

    def _refuse(self, msg: str) -> None:
        """It is told what is wrong with what it said; nothing of it was done."""
        self._counters.faults += 1
        self._session.say(msgspec.json.encode({"code": ErrorCode.BAD_REQUEST.value, "msg": msg}))

    def _on_ping(self, ping: Ping) -> None:
        if self._state is State.OPEN and self._may_send_control_frame():
            self._outlet.offer(Frame(pong_frame(ping.payload), Lane.CONTROL, None))

    def _on_pong(self, _: Pong) -> None:
        self._may_send_control_frame()

    def _may_send_control_frame(self) -> bool:
        if self._control_frames.take(self._tenant.now()):
            return True
        self._close(CloseConnection(CloseCode.RATE_LIMITED, "too many control frames"))
        return False

    def _on_close_received(self, event: CloseReceived) -> None:
        if self._state not in _ENDED:
            self._end(event.code or _NO_STATUS_RECEIVED, "closed by the backend")
            self._outlet.close(close_frame(event.code), discard=True)
        self._outlet.peer_closed()

    def _on_violation(self, violation: Violation) -> None:
        self._close(CloseConnection(violation.code, violation.reason), linger=False)

    # What the gateway says

    def _on_attached(self, message: Attached) -> None:
        self._outlet.attach(message.transport)
        if self._state is State.OPENING:
            self._state = State.OPEN
            self._counters.opened += 1
            _log.info("a backend's stream is connected", extra=self._log_fields())
            self._hub.connected(self._session)

    def _look_for_socket(self, _: _LookForSocket) -> None:
        """The handshake ended between the tenant's answer and the socket."""
        if self._state is State.OPENING:
            self.context.stop()

    def _on_draining(self, message: Draining) -> None:
        if self._state is State.OPEN:
            body = {"kind": "draining", "reconnect_after_ms": message.reconnect_after_ms}
            self._session.say(msgspec.json.encode(body), Lane.CONTROL)

    def _on_transport_lost(self, message: TransportLost) -> None:
        if self._state not in _ENDED:
            self._end(_ABNORMAL_CLOSURE, message.reason)
        self._state = State.CLOSED
        if not self._under_way:
            self.context.stop()

    def _close(self, message: CloseConnection, *, linger: bool = True) -> None:
        if self._state in _ENDED:
            return
        self._end(message.code, message.reason)
        self._outlet.close(close_frame(message.code, message.reason), discard=message.discard, linger=linger)

    def _end(self, code: int, reason: str) -> None:
        """It is asked and told nothing more."""
        self._state = State.CLOSING
        self._hub.gone(self._session)
        lasted_s = round(self._tenant.now() - self._session.opened_at, 3)
        fields = {"code": int(code), "reason": reason, "lasted_s": lasted_s}
        _log.info("a backend's stream has ended", extra=self._log_fields() | fields)

    def _log_fields(self) -> dict[str, Any]:
        session = self._session
        return {
            "tenant": self._tenant.id,
            "stream": session.id,
            "key": session.key_name,
            "remote": session.remote_address,
        }


_HANDLERS: Final[dict[type, Callable[[BackendStream, Any], None]]] = {
    Attached: BackendStream._on_attached,
    CloseConnection: BackendStream._close,
    CloseReceived: BackendStream._on_close_received,
    Draining: BackendStream._on_draining,
    Ping: BackendStream._on_ping,
    Pong: BackendStream._on_pong,
    TransportLost: BackendStream._on_transport_lost,
    Violation: BackendStream._on_violation,
    _CallsDone: BackendStream._on_calls_done,
    _LookForSocket: BackendStream._look_for_socket,
}
