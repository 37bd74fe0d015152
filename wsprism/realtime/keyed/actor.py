"""The life of a socket that came with an API key: it opens, is pinged, closes. What it says is others' business."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from actors import Actor
from wsprism.policy.ratelimit import TokenBucket
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.state import State
from wsprism.realtime.keyed.session import KeyedSession
from wsprism.realtime.messages import Attached, CloseConnection, Draining, TransportLost

if TYPE_CHECKING:
    from wsprism.realtime.rules import TenantContext

__all__ = ["KeyedSocket"]

S = TypeVar("S", bound=KeyedSession)

_ATTACHED_WITHIN_S: Final = 10.0
_CONTROL_FRAMES_PER_S: Final = 50
_CONTROL_FRAMES_BURST: Final = 256
_NO_STATUS_RECEIVED: Final = 1005
_ABNORMAL_CLOSURE: Final = 1006
_ENDED: Final = (State.CLOSING, State.CLOSED)


class _LookForSocket:
    """To itself: the socket should be there by now."""


class KeyedSocket(Actor, Generic[S]):
    """``what`` names it in the log of ``log``. Subclasses say what they do with what is heard."""

    what: str
    log: logging.Logger

    def __init__(self, tenant: TenantContext, session: S) -> None:
        self._tenant = tenant
        self._session = session
        self._outlet = session.outlet
        self._state = State.OPENING
        self._control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_FRAMES_BURST, tenant.now())

    # For subclasses

    def hear(self, message: str | bytes) -> None:
        """A whole message of an open socket."""

    def opened(self) -> None:
        """The socket is there."""

    def ended(self, code: int) -> None:
        """It is told nothing more; its socket goes, or has gone, with this close code. Called once."""

    def drains(self, reconnect_after_ms: int) -> None:
        """The gateway is going away."""

    def is_busy(self) -> bool:
        """Whether it has to live on though its socket is gone."""
        return False

    # The actor

    def on_start(self) -> None:
        self.context.call_later(_ATTACHED_WITHIN_S, _LookForSocket())

    def receive(self, message: object) -> None:
        if isinstance(message, str | bytes):
            if self._state is State.OPEN:
                self.hear(message)
        else:
            _HANDLERS[message.__class__](self, message)

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 (the supervisor reports it)
        self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error"))

    def on_stop(self) -> None:
        """Stopped from above: the socket goes too."""
        self.close(CloseConnection(CloseCode.INTERNAL_ERROR, "internal error", discard=True))

    # What the socket says

    def _on_ping(self, ping: Ping) -> None:
        if self._state is State.OPEN and self._may_send_control_frame():
            self._outlet.pong(ping.payload)

    def _on_pong(self, _: Pong) -> None:
        self._may_send_control_frame()

    def _may_send_control_frame(self) -> bool:
        if self._control_frames.take(self._tenant.now()):
            return True
        self.close(CloseConnection(CloseCode.RATE_LIMITED, "too many control frames"))
        return False

    def _on_close_received(self, event: CloseReceived) -> None:
        if self._state not in _ENDED:
            self._end(event.code or _NO_STATUS_RECEIVED, "closed by the peer")
            self._outlet.close(event.code, "", discard=True)
        self._outlet.peer_closed()

    def _on_violation(self, violation: Violation) -> None:
        self.close(CloseConnection(violation.code, violation.reason), linger=False)

    # What the gateway says

    def _on_attached(self, message: Attached) -> None:
        self._outlet.attach(message.transport)
        if self._state is State.OPENING:
            self._state = State.OPEN
            self.log.info(f"{self.what} is connected", extra=self._log_fields())
            self.opened()

    def _look_for_socket(self, _: _LookForSocket) -> None:
        """The handshake ended between the tenant's answer and the socket."""
        if self._state is State.OPENING:
            self.context.stop()

    def _on_draining(self, message: Draining) -> None:
        if self._state is State.OPEN:
            self.drains(message.reconnect_after_ms)

    def _on_transport_lost(self, message: TransportLost) -> None:
        if self._state not in _ENDED:
            self._end(_ABNORMAL_CLOSURE, message.reason)
        self._state = State.CLOSED
        self.stop_once_idle()

    def stop_once_idle(self) -> None:
        """End with the socket, or when what it is busy with is done."""
        if self._state is State.CLOSED and not self.is_busy():
            self.context.stop()

    def close(self, message: CloseConnection, *, linger: bool = True) -> None:
        """Close the socket; idempotent."""
        if self._state in _ENDED:
            return
        self._end(message.code, message.reason)
        self._outlet.close(message.code, message.reason, discard=message.discard, linger=linger)

    def _end(self, code: int, reason: str) -> None:
        self._state = State.CLOSING
        self.ended(code)
        lasted_s = round(self._tenant.now() - self._session.opened_at, 3)
        fields = {"code": int(code), "reason": reason, "lasted_s": lasted_s}
        self.log.info(f"{self.what} has ended", extra=self._log_fields() | fields)

    def _log_fields(self) -> dict[str, Any]:
        session = self._session
        return {
            "tenant": self._tenant.id,
            "stream": session.id,
            "key": session.key_name,
            "remote": session.remote_address,
        }


_HANDLERS: Final[dict[type, Callable[[KeyedSocket[Any], Any], object]]] = {
    Attached: KeyedSocket._on_attached,
    CloseConnection: KeyedSocket.close,
    CloseReceived: KeyedSocket._on_close_received,
    Draining: KeyedSocket._on_draining,
    Ping: KeyedSocket._on_ping,
    Pong: KeyedSocket._on_pong,
    TransportLost: KeyedSocket._on_transport_lost,
    Violation: KeyedSocket._on_violation,
    _LookForSocket: KeyedSocket._look_for_socket,
}
