"""What the gateway's actors say to each other. Frames from a socket reach a connection as plain str and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from wsprism.policy.decisions import Denied
from wsprism.policy.revocation import Revocable
from wsprism.ports import Principal, TicketRefusal, Transport, Unanswered

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.effects import Effect
    from wsprism.protocol.backend import ConnectAnswer, JoinAnswer
    from wsprism.protocol.places import HistoryData, JoinData
    from wsprism.protocol.traces import ConnectionTrace, MessageTrace
    from wsprism.realtime.decision import Decision
    from wsprism.realtime.outbound.wire import WireFormat
    from wsprism.realtime.room.inbox import Inbox
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session

__all__ = [
    "AddTenants",
    "Answered",
    "Attached",
    "CloseConnection",
    "CloseRoom",
    "Draining",
    "Exclusion",
    "ExtPublication",
    "HistoryChanged",
    "HistoryQuery",
    "HotPublication",
    "JoinAccepted",
    "JoinDecided",
    "JoinDenied",
    "JoinRequest",
    "LeaveDenied",
    "LeaveRequest",
    "Left",
    "LiftRevocation",
    "MembersQuery",
    "Narrowed",
    "NextSlice",
    "OpenSession",
    "Origin",
    "PresenceDue",
    "PresenceQuery",
    "PresenceState",
    "PresenceWanted",
    "PublicationList",
    "Publications",
    "PublishDecided",
    "PublishToRoom",
    "Refreshed",
    "RemoveTenant",
    "Revoke",
    "RoomEmptied",
    "RoomJoin",
    "RoomLeave",
    "RulesChanged",
    "SampledPublication",
    "SessionOpened",
    "TransportLost",
    "is_hot",
]


@dataclass(frozen=True, slots=True)
class OpenSession:
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


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The session whose connection the socket is to be attached to. It may have been refused: it says so itself."""

    session: Session


@dataclass(frozen=True, slots=True)
class Attached:
    """The socket is upgraded: the connection may speak."""

    transport: Transport


@dataclass(frozen=True, slots=True)
class TransportLost:
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
class AddTenants:
    """To the gateway: supervise these too. Once it is answered they have their ``ref``."""

    tenants: Sequence[TenantContext]


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """To a tenant, and on to its connections: what they hold of the tenant's rules is to follow the current ones."""


@dataclass(frozen=True, slots=True)
class RemoveTenant:
    """To a tenant that the configuration has no more: close every session 4504, and stop once they are gone."""


@dataclass(frozen=True, slots=True)
class Draining:
    """The gateway is going away: the client is to come back after ``reconnect_after_ms``. Its Close follows later."""

    reconnect_after_ms: int


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Connection to tenant: check the limits, then join."""

    session: Session
    room: str
    seq: int | None
    token: Decision | None = None
    answer: JoinAnswer | None = None
    wants: JoinData | None = None


@dataclass(frozen=True, slots=True)
class JoinDecided:
    """To a connection: what the backend says of the join in ``request``, which it asked about."""

    request: JoinRequest
    answer: JoinAnswer | Unanswered


@dataclass(frozen=True, slots=True)
class LeaveRequest:
    """Connection to tenant: leave a room that it has joined."""

    session: Session
    room: str
    seq: int | None
    token: Decision | None = None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Connection to tenant: a refresh has exchanged ``before``; leave the rooms that only that one allowed."""

    session: Session
    before: Principal


@dataclass(frozen=True, slots=True)
class RoomJoin:
    """Tenant to room: a checked join. ``token``: the session's connection waits for it.

    ``active``: the room becomes the session's active one even if it has one.
    """

    session: Session
    seq: int | None
    token: Decision | None = None
    answer: JoinAnswer | None = None
    wants: JoinData | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class RoomLeave:
    """Tenant to room: this session goes. ``announce``: it stays connected and is told ``sys.left``.

    ``token``: the session's connection waits for it. ``lost``: its connection was lost, without anybody's word.
    """

    session: Session
    seq: int | None
    announce: bool
    token: Decision | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class CloseRoom:
    """Tenant to room: the last member has left.

    A room that may have a history says ``RoomEmptied`` once it has come so far, and ends when it is told ``final``.
    """

    final: bool = False


@dataclass(frozen=True, slots=True)
class RoomEmptied:
    """Room to tenant: everything before its ``CloseRoom`` is done."""

    room: str
    ref: ActorRef


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """To a room: its history may have been taken away, and its members are to be told."""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Connection to room: answer ``room.history`` into this session's queue."""

    session: Session
    seq: int | None
    query: HistoryData


@dataclass(frozen=True, slots=True)
class JoinAccepted:
    """Room to connection: joined; ``sys.joined`` stands in its queue already."""

    room: str
    inbox: Inbox
    token: Decision | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class JoinDenied:
    """Tenant to connection: a limit forbids it."""

    room: str
    denied: Denied
    seq: int | None
    token: Decision | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The answer to the ticket of a ``sys.refresh``."""

    verdict: Principal | TicketRefusal
    seq: int | None


@dataclass(frozen=True, slots=True)
class Left:
    """Room to connection: left; ``sys.left`` stands in its queue already."""

    room: str
    ref: ActorRef
    token: Decision | None


@dataclass(frozen=True, slots=True)
class LeaveDenied:
    """Tenant to connection: it is no longer in the room that it asked to leave."""

    room: str
    seq: int | None
    token: Decision | None


@dataclass(frozen=True, slots=True)
class MembersQuery:
    """Connection to room: answer ``room.members`` into this session's queue."""

    session: Session
    seq: int | None


@dataclass(frozen=True, slots=True)
class PresenceQuery:
    """Connection to room: answer ``room.presence`` into this session's queue."""

    session: Session
    seq: int | None


@dataclass(frozen=True, slots=True)
class PresenceState:
    """Connection to room: the session's own word of itself, JSON. ``ack``: it waits to hear that it was taken."""

    session: Session
    seq: int | None
    state: msgspec.Raw
    ack: bool


@dataclass(frozen=True, slots=True)
class PresenceWanted:
    """Room to tenant: it is to be told ``PresenceDue`` at this moment of the shared tick."""

    room: str
    at: float


@dataclass(frozen=True, slots=True)
class PresenceDue:
    """Tenant to room: who is subscribed is to be told what has changed, and who has lingered is gone."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a client's message whose effects come later: as much of its envelope as they need."""

    svc: str
    type: str
    seq: int | None
    flags: int
    room: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """To a connection, or to its tenant when it has ended: ``result`` are effects, or why there are none."""

    session: Session
    origin: Origin
    result: list[Effect] | Unanswered


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Who does not get a publication: all sessions of ``user``, those with this ``sid``, or that user's one."""

    user: str | None
    sid: str | None

    def covers(self, session: Session) -> bool:
        """Whether ``session`` is one of them."""
        return self.user in (None, session.user) and self.sid in (None, session.sid)


class ExtPublication(msgspec.Struct, gc=False):
    """An ext message for every member. ``sender`` gets a ``sys.ack`` once it is queued for all, when ``ack``.

    ``data`` is JSON, made where somebody can be blamed when it cannot be said in JSON: nothing fails in the room.
    ``id`` is its sender's own name of it (without a sender: the backend's). In a room with a history it gets an
    ``offset``, and is ``kept``; ``again``: it was published before, and is not published. ``told`` is called with the
    offset, or with None where it gets none.
    """

    svc: str
    type: str
    data: bytes
    sender: Any = None
    seq: int | None = None
    ack: bool = False
    id: str | None = None
    offset: int | None = None
    again: bool = False
    kept: Any = None
    told: Any = None
    exclude: Exclusion | None = None

    echo: ClassVar[bool] = True
    """An ext message always reaches its sender too."""


class HotPublication(msgspec.Struct, gc=False):
    """A hot frame, already a ready server frame, for every member (not ``sender`` unless ``echo``)."""

    frame: bytes
    key: Any
    sender: Any = None
    echo: bool = True
    seq: int | None = None
    ack: bool = False
    exclude: Exclusion | None = None


Publications = tuple[ExtPublication | HotPublication, ...]


@dataclass(frozen=True, slots=True)
class SampledPublication:
    """A publication that is watched on its way; for its room it is one like any other."""

    publication: ExtPublication | HotPublication
    trace: MessageTrace


def is_hot(message: object) -> bool:
    """Whether a room may shed it for a newer one: not when its sender waits for an answer."""
    if isinstance(message, SampledPublication):
        message = message.publication
    return isinstance(message, HotPublication) and not message.ack


@dataclass(frozen=True, slots=True)
class PublishToRoom:
    """To a room by name, through its tenant: for whoever holds no reference to it. Nobody hears it in an empty room.

    ``asker`` (default: the sender) is told what became of it: when the room is full, and always with a ``token``.
    """

    room: str
    publication: ExtPublication | HotPublication
    asker: Session | None = None
    seq: int | None = None
    token: Decision | None = None


@dataclass(frozen=True, slots=True)
class PublishDecided:
    """Tenant to connection: whether the room has taken it."""

    taken: bool
    seq: int | None
    token: Decision | None


@dataclass(frozen=True, slots=True)
class Revoke:
    """To a tenant: close the sessions that are meant (4502), and let none of them in until ``until_s`` (Unix time).

    The answer is the number of sessions that were closed, or ``Denied``: the table is full, and nothing was done.
    """

    what: Revocable
    name: str
    until_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LiftRevocation:
    """To a tenant: let this name in again. The answer is 1, or 0: it was not locked out."""

    what: Revocable
    name: str


@dataclass(frozen=True, slots=True)
class PublicationList:
    """Tenant to room: all of these, in their order, with nothing in between."""

    publications: Publications


@dataclass(frozen=True, slots=True)
class NextSlice:
    """An actor to itself: go on with what is done in slices."""
