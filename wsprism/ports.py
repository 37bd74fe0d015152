"""What the gateway's core needs of the outside, as protocols.

``realtime`` and ``services`` speak to these only; ``transport`` and ``adapters`` implement them; ``app`` plugs them
together. Nothing here knows aiohttp, OpenTelemetry or a file system.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from fnmatch import fnmatchcase
from typing import Any, Protocol

from wsprism.protocol.backend import ConnectAnswer, SessionFacts
from wsprism.protocol.envelope import Envelope
from wsprism.protocol.traces import ConnectionTrace, MessageTrace

__all__ = [
    "Authenticator",
    "BackendLine",
    "BackendPort",
    "CallResult",
    "Clock",
    "ExtService",
    "HotService",
    "NewsPort",
    "Principal",
    "ServiceContext",
    "TicketRefusal",
    "TicketRequest",
    "Tracer",
    "Transport",
    "Unanswered",
]

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a ticket stands for.

    ``expires_at`` is Unix time in seconds (None: never). ``rooms`` are the patterns of rooms that the ticket may join
    (None: any), ``read_only`` forbids publishing, ``token_id`` names the ticket for revocation.
    """

    user: str
    expires_at: float | None = None
    rooms: tuple[str, ...] | None = None
    read_only: bool = False
    token_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def may_enter(self, room: str) -> bool:
        """Whether the ticket lets its owner join the room, or publish into it from outside."""
        return self.rooms is None or any(fnmatchcase(room, pattern) for pattern in self.rooms)


@dataclass(frozen=True, slots=True)
class TicketRequest:
    """A ticket to be judged, with what is known of the request that carried it."""

    tenant: str
    ticket: str
    remote_address: str
    origin: str | None = None
    user_agent: str | None = None


class TicketRefusal(Enum):
    """Why a ticket lets nobody in; a refused handshake's reason. "Cannot tell" is no "no": the client may come back."""

    REFUSED = "ticket"
    EXPIRED = "ticket_expired"
    CANNOT_TELL = "ticket_unjudged"
    """Who would have to judge it (a key server, a backend) is away or gave no usable answer."""


class Authenticator(Protocol):
    """Ticket in, principal or refusal out. It may wait (a key server, a backend): it runs before the upgrade."""

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        """The principal, or why this authenticator does not accept the ticket. Never raises for a bad ticket."""
        ...

    async def close(self) -> None:
        """Let go of clients and caches; nothing is asked afterwards."""
        ...


class CallResult(StrEnum):
    """How a question to a tenant's backend ended; a metric's label."""

    OK = "ok"
    REFUSED = "refused"
    """The backend works, and says no (a 4xx)."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"
    """There was an answer, and it cannot be used."""
    OVERLOADED = "overloaded"
    """Too much waits already: it was not asked."""
    OPEN = "open"
    """It failed too often and is not asked for a while."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer that could be used; ``why`` is for operators and holds no secret."""

    result: CallResult
    why: str


class BackendLine(Protocol):
    """Where one connection's messages to one service wait for their turn, in their order."""

    @property
    def pending(self) -> int:
        """Messages that have no answer yet."""
        ...


class NewsPort(Protocol):
    """Who is told what happens in a tenant. No method waits."""

    def tells(self, event: str, room: str | None = None) -> bool:
        """Whether anybody wants to know of this event (of this room)."""
        ...

    def tell(self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> None:
        """Hand on one event, which has just happened; fields that are None are left out."""
        ...


class BackendPort(NewsPort, Protocol):
    """A tenant's backend. Answers come by a callback, in a later turn of the loop; only ``ask_connect`` waits.

    A value that is returned at once says why nothing was asked, and then no callback comes.
    """

    @property
    def asks(self) -> frozenset[str]:
        """Decisions that it wants to make: ``connect``, ``join``."""
        ...

    def line(self, service: str) -> Any:
        """A new ``BackendLine`` for a webhook service; None: there is none of this name."""
        ...

    def withdraw(self, line: Any) -> None:
        """Its connection has ended: what has not been asked is forgotten."""
        ...

    def ask_message(
        self,
        service: str,
        line: Any,
        session: SessionFacts,
        message: Mapping[str, Any],
        data_bytes: int,
        answered: Callable[[Any], object],
        traceparent: str | None = None,
    ) -> CallResult | None:
        """Have a message answered by a list of effects, or ``Unanswered``."""
        ...

    @property
    def on_failure_allow(self) -> bool:
        """What no usable answer to a decision means."""
        ...

    async def ask_connect(
        self, fields: Mapping[str, Any], traceparent: str | None = None
    ) -> ConnectAnswer | Unanswered:
        """Have a handshake decided; this one waits."""
        ...

    def ask_join(
        self,
        fields: Mapping[str, Any],
        data_bytes: int,
        answered: Callable[[Any], object],
        traceparent: str | None = None,
    ) -> CallResult | None:
        """Have a join decided by a ``JoinAnswer``, or ``Unanswered``."""
        ...


class Transport(Protocol):
    """What a connection needs of a socket. No method waits."""

    paused: bool
    """True while the transport holds more than its high-water mark."""

    def write(self, data: bytes) -> None:
        """Hand over ready frames; ignored once the socket is gone."""
        ...

    def progress(self) -> object:
        """Something that is equal to what it was before only while the peer takes nothing of what was written."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from the socket; idempotent."""
        ...

    def resume_reading(self) -> None:
        """Undo ``pause_reading``; idempotent."""
        ...

    def limit_message_bytes(self, max_message_bytes: int) -> None:
        """Bound the messages that begin from here on."""
        ...

    def close(self) -> None:
        """Close once everything written has left."""
        ...

    def abort(self) -> None:
        """Drop the socket and what it still holds, at once."""
        ...


class Tracer(Protocol):
    """Takes what was noted of sampled messages and connections, once each, when they have ended. Never waits."""

    def message_done(self, trace: MessageTrace) -> None: ...
    def connection_done(self, trace: ConnectionTrace) -> None: ...


class ServiceContext(Protocol):
    """What a service may know of the message's sender."""

    @property
    def tenant(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def sid(self) -> str: ...
    @property
    def active_room(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the ticket, or whoever judged it, said about the user beside who it is; never told to clients."""
        ...

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        """The message's data as ``type``; a ``DataFault`` value when it does not fit."""
        ...


class ExtService(Protocol):
    """A service of the ext lane: one message in, effects out, without waiting."""

    @property
    def types(self) -> frozenset[str] | None:
        """The message types it answers; None: any."""
        ...

    def handle(self, context: ServiceContext, envelope: Envelope) -> object:
        """What is to happen: one of ``wsprism.realtime.effects``, or None."""
        ...


class HotService(Protocol):
    """A service of the hot lane: says to whom a frame of the active room goes."""

    @property
    def include_sender(self) -> bool:
        """Whether the frame goes out with its sender's user id."""
        ...

    @property
    def echo(self) -> bool:
        """Whether the sender gets its own frame too."""
        ...
