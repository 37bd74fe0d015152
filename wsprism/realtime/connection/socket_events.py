"""What the socket of a connection tells besides messages: pings, its Close, a violation, its end.

A Close, a violation and the end have their place behind the messages that came before them. A ping is answered at once,
as RFC 6455 wishes: a pong says nothing about messages.
"""

from __future__ import annotations

from typing import Final

from wsprism.policy.decisions import Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.core import ABNORMAL_CLOSURE, FIRST_PRIVATE_CODE, Core
from wsprism.realtime.connection.state import State
from wsprism.realtime.messages import CloseConnection, TransportLost

__all__ = ["LAST_WORDS_S", "LastWords", "on_close_received", "on_lost", "on_ping", "on_pong", "on_violation"]

LAST_WORDS_S: Final = 2.0
"""How long a connection whose socket is gone waits for what its last messages stand behind."""

_CONTROL_FRAMES_PER_S: Final = 50
_CONTROL_FRAMES_BURST: Final = 256
"""What pings and pongs a client may send, beside its messages: far more than any keepalive, far less than a flood."""

_NO_STATUS_RECEIVED: Final = 1005


class LastWords:
    """To itself: what its last messages stand behind was not decided in time."""


def on_ping(connection: Core, ping: Ping) -> None:
    if connection.state is State.OPEN and _may_send_control_frame(connection):
        connection.pong(ping.payload)


def on_pong(connection: Core, _: Pong) -> None:
    """Its arrival is what counts; the transport has noted it."""
    _may_send_control_frame(connection)


def _may_send_control_frame(connection: Core) -> bool:
    now = connection.tenant_context.now()
    if connection.control_frames is None:
        connection.control_frames = TokenBucket(_CONTROL_FRAMES_PER_S, _CONTROL_FRAMES_BURST, now)
    if connection.control_frames.take(now):
        return True
    connection.counters.decisions.count(Reason.RATE_LIMITED_CONTROL)
    flood = CloseConnection(CloseCode.RATE_LIMITED, "too many control frames")
    pending = connection.pending
    if pending is None or not (pending.ends or connection.hold_back(flood)):
        connection.close(flood)
    return False


def on_close_received(connection: Core, event: CloseReceived) -> None:
    if connection.state in (State.OPENING, State.OPEN):
        connection.move(State.CLOSING)
        known = event.code is not None and event.code < FIRST_PRIVATE_CODE
        connection.close_code = event.code if known else _NO_STATUS_RECEIVED
        connection.close_reason = "closed by the client"
        connection.outlet.close(event.code, "", discard=True)
        connection.let_go()
    connection.outlet.peer_closed()


def on_violation(connection: Core, violation: Violation) -> None:
    connection.close(CloseConnection(violation.code, violation.reason), linger=False)


def on_lost(connection: Core, message: TransportLost) -> None:
    """The session ends with its socket, once what was said before is carried out; that waits for a while at most."""
    pending = connection.pending
    if pending is not None and pending.messages and connection.hold_back(message):
        connection.context.call_later(LAST_WORDS_S, LastWords())
        return
    connection.let_go()
    if connection.close_code is None:
        connection.close_code, connection.close_reason = ABNORMAL_CLOSURE, message.reason
    connection.log_closed()
    connection.move(State.CLOSED)
    connection.context.stop()
