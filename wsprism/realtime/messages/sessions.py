"""Sessions: how they are opened, attached to their socket, changed by a new ticket, and ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from wsprism.ports import Principal, TicketRefusal, Transport
    from wsprism.protocol.backend import ConnectAnswer
    from wsprism.protocol.traces import ConnectionTrace
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.session import Session

__all__ = [
    "Attached",
    "CloseConnection",
    "Draining",
    "Narrowed",
    "OpenSession",
    "Refreshed",
    "SessionOpened",
    "TransportLost",
]


class OpenSession(msgspec.Struct, frozen=True, gc=False):
    """Transport asks the tenant for a session.

    The answer is ``SessionOpened``, or ``Denied``: revoked, or the tenant is full. ``echo``: for a conformance suite.
    ``generation`` and ``decision`` are there when the backend was asked: the number that it was told, and its yes.
    """

    principal: Principal
    sid: str | None
    format: WireFormat
    trace_id: str
    remote_address: str
    origin: str | None = None
    user_agent: str | None = None
    trace: ConnectionTrace | None = None
    echo: bool = False
    generation: int = 0
    decision: ConnectAnswer | None = None


class SessionOpened(msgspec.Struct, frozen=True, gc=False):
    """The session whose connection the socket is to be attached to. It may have been refused: it says so itself."""

    session: Session


class Attached(msgspec.Struct, frozen=True, gc=False):
    """The socket is upgraded: the connection may speak."""

    transport: Transport


class TransportLost(msgspec.Struct, frozen=True, gc=False):
    """The socket is gone; nothing more can be read or written."""

    reason: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """End a connection from outside (kick, drain, slow consumer, stall, idle).

    ``notice`` is sent before the Close when the queue is flushed; ``discard`` closes without flushing.
    """

    code: int
    reason: str
    notice: dict[str, Any] | None = None
    discard: bool = False


@dataclass(frozen=True, slots=True)
class Draining:
    """The gateway is going away: the client is to come back after ``reconnect_after_ms``. Its Close follows later."""

    reconnect_after_ms: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The answer to the ticket of a ``sys.refresh``."""

    verdict: Principal | TicketRefusal
    seq: int | None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Connection to tenant: a refresh has exchanged ``before``; leave the rooms that only that one allowed."""

    session: Session
    before: Principal
