"""What the gateway's core needs of the outside, as protocols.

``realtime`` and ``services`` speak to these only; ``transport`` and ``adapters`` implement them; ``app`` plugs them
together. Nothing here knows aiohttp, OpenTelemetry or a file system.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

import msgspec

from wsprism.policy.history import HistoryBounds, Position
from wsprism.policy.present import PresenceStore
from wsprism.protocol.backend import ConnectAnswer, SessionFacts
from wsprism.protocol.envelope import Envelope
from wsprism.protocol.traces import ConnectionTrace, MessageTrace

__all__ = [
    "Authenticator",
    "BackendFigures",
    "BackendLine",
    "BackendPort",
    "CallResult",
    "Clock",
    "ExtService",
    "HistoryItem",
    "HotService",
    "KeepPublication",
    "Kept",
    "NewsPort",
    "Principal",
    "RoomStore",
    "ServiceContext",
    "StateKind",
    "StateStore",
    "StreamCalls",
    "StreamHub",
    "StreamPeer",
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
    (None: any), ``read_only`` forbids publishing, ``token_id`` names the ticket for revocation. ``info`` is JSON that
    presence shows of the user (None: nothing).
    """

    user: str
    expires_at: float | None = None
    rooms: tuple[str, ...] | None = None
    read_only: bool = False
    token_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    info: msgspec.Raw | None = None

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


@dataclass(frozen=True, slots=True)
class BackendFigures:
    """What a tenant's backend has cost and what waits for it, now and since the start. Times are in seconds."""

    calls: Mapping[tuple[str, CallResult], int]
    duration: Any
    """A ``realtime.histogram.Histogram`` of the calls that were made."""
    in_flight: int
    waiting: int
    breakers: Mapping[str, str]
    """State by url (`stream`: of the streams): closed, open, probing."""
    streams: int
    """Connected now."""
    events_waiting: int
    events_sent: int
    events_missed: int
    oldest_event_s: float
    last_failure: str | None
    node: str


class BackendPort(NewsPort, Protocol):
    """A tenant's backend. Answers come by a callback, in a later turn of the loop; only ``ask_connect`` waits.

    A value that is returned at once says why nothing was asked, and then no callback comes.
    """

    @property
    def asks(self) -> frozenset[str]:
        """Decisions that it wants to make: ``connect``, ``join``."""
        ...

    @property
    def streams(self) -> StreamHub | None:
        """Where its streams are heard; None: it may not connect by itself."""
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
    def figures(self) -> BackendFigures:
        """What there is to say of it at this moment."""
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


class Kept(Protocol):
    """A publication as a history keeps it; what it is is its room's business."""

    @property
    def size_bytes(self) -> int:
        """What it counts towards the bounds."""
        ...


KeepPublication = Callable[[int], Kept]
"""Makes a publication what is to be kept, once its offset is known."""


class HistoryItem(NamedTuple):
    """A publication that is kept; ``at`` is monotonic seconds."""

    offset: int
    at: float
    kept: Any


class RoomStore(PresenceStore, Protocol):
    """What a tenant's rooms remember, by their names: their histories, and the entries of who is present.

    Nothing that is told of a room is ever told in part. Each call is one step. ``on_evicted`` is called with a room
    whose history went for want of room. Lengths, sizes and names are those of histories.
    """

    on_evicted: Callable[[str], object]

    def __len__(self) -> int:
        """Histories that are kept."""
        ...

    @property
    def size_bytes(self) -> int: ...
    @property
    def evicted(self) -> int: ...
    @property
    def expired(self) -> int: ...

    def new_epoch(self) -> str:
        """A name that was never given out before."""
        ...

    def configure(self, max_rooms: int, max_bytes: int) -> None:
        """Bound all of it."""
        ...

    def open(self, room: str, bounds: HistoryBounds, *, members: bool, epoch: str | None = None) -> Position:
        """Where the room stands; begun if it has no history, as ``epoch`` where that was given out for it already.

        While there are ``members`` only messages age.
        """
        ...

    def position(self, room: str) -> Position | None:
        """Where the room stands, if it has a history."""
        ...

    def append(
        self,
        room: str,
        publications: Sequence[tuple[KeepPublication, str | None]],
        bounds: HistoryBounds,
        *,
        members: bool,
        epoch: str | None = None,
    ) -> list[int]:
        """Keep a turn's publications, each with its id; begun as ``open`` does. Their offsets, without a gap.

        One whose id is known is not kept again: its offset is the first one's, and not above all before it.
        """
        ...

    def missed(self, room: str, since: Position) -> int | None:
        """How many came after ``since``; None when they cannot be told completely, or are too many."""
        ...

    def after(self, room: str, since: Position, limit: int) -> list[HistoryItem] | None:
        """Up to ``limit`` publications behind ``since``; None when the first of them is no longer kept."""
        ...

    def page(self, room: str, offset: int | None, limit: int, *, reverse: bool) -> list[HistoryItem]:
        """What is kept behind ``offset`` (None: from the oldest), or before it and newest first (None: all)."""
        ...

    def left(self, room: str) -> None:
        """The last member has gone: from now on its history has a time to live."""
        ...

    def purge(self, room: str) -> Position | None:
        """Forget what is kept and begin a new epoch; None: there is no history."""
        ...

    def drop(self, room: str) -> None:
        """Forget a room's history."""
        ...

    def clear(self) -> None:
        """Forget every room, and who is present."""
        ...

    def names(self) -> list[str]:
        """Rooms that have a history, the one used least recently first."""
        ...

    def sweep(self) -> None:
        """Give memory back that nobody asked for since; some of it at a time."""
        ...


class StreamPeer(Protocol):
    """One connected stream of a backend, as those see it who ask and tell over it. No method waits."""

    @property
    def id(self) -> str:
        """Names it among the streams of its tenant; never given twice."""
        ...

    def say(self, body: bytes) -> bool:
        """Queue a message, given as JSON. False: it cannot be said in this stream's encoding."""
        ...

    def say_hot(self, payload: bytes, key: Hashable | None) -> None:
        """Queue a hot frame; under pressure a newer one of the same key replaces it."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Have it closed, after what is queued."""
        ...


class StreamHub(Protocol):
    """The streams of one tenant's backend: a stream's actor tells what it hears. No method waits."""

    def connected(self, stream: StreamPeer) -> None:
        """It may be asked and told."""
        ...

    def answered(self, stream: StreamPeer, fields: Mapping[str, msgspec.Raw]) -> str | None:
        """It has said something that is no call: an answer or an ack. What is wrong with it, if anything."""
        ...

    def room_opened(self, room: str) -> None:
        """A room lives: it stands among those that the hub may look at."""
        ...

    def room_closed(self, room: str, number: int) -> None:
        """It does no more."""
        ...

    def hand_on(self, room: str, number: int, user: str, frame: bytes, key: Hashable | None) -> bool:
        """A client's hot frame to the stream that is with the room. False: there is none."""
        ...

    def gone(self, stream: StreamPeer) -> None:
        """It can be asked and told no more; idempotent."""
        ...


class StreamCalls(Protocol):
    """Carries out what a backend calls over its stream, with the rights of the key that it came with."""

    async def carry_out(self, calls: Sequence[Mapping[str, msgspec.Raw]], say: Callable[[bytes], object]) -> None:
        """All of ``calls`` in their order; ``say`` gets the answer to each that wants one, as JSON. Never raises."""
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


class StateKind(StrEnum):
    """What an entry of a ``StateStore`` is."""

    REVOCATION = "revocation"
    TICKET = "ticket"
    GENERATION = "generation"
    ANSWER = "answer"
    HISTORY = "history"


class StateStore(Protocol):
    """Where what a tenant must not forget outlives a restart. Only ``settled`` waits."""

    def entries(self, tenant: str, kind: StateKind, unix_now: float) -> list[tuple[bytes, bytes, float | None]]:
        """Key, value and end of what is kept and has not ended; before anything of this kind changes."""
        ...

    def put(self, tenant: str, kind: StateKind, key: bytes, value: bytes, expires_at: float | None = None) -> None:
        """Keep an entry, in place of the one that has this key; ``expires_at`` is Unix time in seconds."""
        ...

    def drop(self, tenant: str, kind: StateKind, key: bytes) -> None:
        """Keep it no longer."""
        ...

    async def settled(self) -> None:
        """Return when every change so far survives a crash."""
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

    @property
    def to_backend(self) -> bool:
        """Whether the frame goes to the backend's stream, and to no member."""
        ...
