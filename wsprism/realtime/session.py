"""One user's identity on one connection, and what each actor needs of it.

The tenant creates it, owns its place in the registry and its rooms; the connection and the rooms only read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

if TYPE_CHECKING:
    import msgspec

    from actors import ActorRef
    from wsprism.ports import Departed, Principal, SessionKey
    from wsprism.protocol.backend import ConnectAnswer
    from wsprism.protocol.traces import ConnectionTrace
    from wsprism.realtime.messages import OpenSession
    from wsprism.realtime.outbound.outlet import Outlet
    from wsprism.realtime.tenant.awaited import Awaited

__all__ = ["Session", "info_of", "principal_of"]


class Session:
    """``sid`` is unique within its user only; two objects are never the same session, whatever their sid.

    ``rooms`` are those that it is in, in the order of joining. ``active_room``
    is the one joined last, where goes what names no room; the connection writes it.
    ``origin`` and ``user_agent`` are the handshake's: a refresh is judged with them as the handshake was.
    ``trace`` is there when the connection is sampled. ``generation`` grows with every session that is opened in the
    tenant: of two with the same user and sid the greater is the newer.

    ``decision`` is the backend's yes to the handshake, where it was asked. ``info`` is what presence shows of it, JSON:
    the backend's word, else the ticket's; None: nothing.

    ``ended_with`` are the code and reason of its end, once its connection knows; ``superseded``: a newer session of
    this user and sid has been opened since.

    ``key`` is its name in the registry of all nodes, where there is one; ``departed``: what is left behind it
    there, once it has been taken out of it.

    ``only_reads_some``: ``only_reads`` is to be asked, for it may not publish everywhere.

    ``muted`` says that something of what it says may no longer be heard, and that ``ended`` or ``may_say_in`` is to be
    asked: it was ended by the backend or the operator, put out of rooms by them, or its new ticket allows less. It is
    one look for each message, so that from the moment of their answer nothing that waits anywhere gets through.
    """

    __slots__ = (
        "active_room",
        "connection",
        "decision",
        "departed",
        "ended",
        "ended_with",
        "generation",
        "info",
        "key",
        "muted",
        "narrowing",
        "only_reads_some",
        "opened_at",
        "origin",
        "outlet",
        "principal",
        "put_out_of",
        "read_only_rooms",
        "remote_address",
        "rooms",
        "sid",
        "superseded",
        "trace",
        "trace_id",
        "user",
        "user_agent",
    )

    def __init__(
        self,
        principal: Principal,
        sid: str,
        outlet: Outlet,
        *,
        trace_id: str,
        remote_address: str,
        opened_at: float,
        generation: int = 0,
        origin: str | None = None,
        user_agent: str | None = None,
        trace: ConnectionTrace | None = None,
        decision: ConnectAnswer | None = None,
    ) -> None:
        self.principal = principal
        self.user = principal.user
        self.sid = sid
        self.outlet = outlet
        self.trace_id = trace_id
        self.remote_address = remote_address
        self.opened_at = opened_at
        self.generation = generation
        self.origin = origin
        self.user_agent = user_agent
        self.trace = trace
        self.decision = decision
        self.info: msgspec.Raw | None = info_of(principal, decision)
        self.rooms: dict[str, None] = {}
        self.active_room: str | None = None
        self.connection: ActorRef
        self.muted = False
        self.ended = False
        self.ended_with = (1006, "")
        self.superseded = False
        self.key: SessionKey | None = None
        self.departed: Awaited[Departed | None] | None = None
        self.narrowing = 0
        self.put_out_of: set[ActorRef] | None = None
        self.read_only_rooms: set[str] | None = None
        self.only_reads_some = principal.read_only

    @property
    def expires_at(self) -> float | None:
        """Unix time when its ticket ends; None: never."""
        return self.principal.expires_at

    def refresh(self, principal: Principal) -> bool:
        """It lives on with a new ticket; whether what presence shows of it is another now."""
        before = self.info
        self.principal = principal
        self.info = info_of(principal, self.decision)
        self._look_what_it_only_reads()
        return self.info != before

    def end(self) -> None:
        """Nothing that it has said and that waits is heard any more."""
        self.muted = self.ended = True

    def put_out(self, room: ActorRef) -> None:
        """What it has said in ``room`` and that waits is not heard any more."""
        if self.put_out_of is None:
            self.put_out_of = set()
        self.put_out_of.add(room)
        self.muted = True

    def may_only_read(self, room: str, read_only: bool) -> None:
        """What the backend said of publishing in ``room`` when it was joined."""
        if read_only:
            if self.read_only_rooms is None:
                self.read_only_rooms = set()
            self.read_only_rooms.add(room)
        elif self.read_only_rooms is not None:
            self.read_only_rooms.discard(room)
        self._look_what_it_only_reads()

    def only_reads(self, room: str) -> bool:
        """Whether it may not publish in ``room``, by its ticket or by the backend's word."""
        return self.principal.read_only or (self.read_only_rooms is not None and room in self.read_only_rooms)

    def has_left(self, room: ActorRef) -> None:
        """``room`` and its connection have handled everything that was said before ``put_out``."""
        if self.put_out_of is not None:
            self.put_out_of.discard(room)
            if not self.put_out_of:
                self.put_out_of = None
            self._settle()

    def begin_narrowing(self) -> None:
        """Its ticket allows less than before: until ``end_narrowing`` each room is asked about."""
        self.narrowing += 1
        self.muted = True

    def end_narrowing(self) -> None:
        """It has left the rooms that its ticket no longer allows."""
        self.narrowing -= 1
        self._settle()

    def may_say_in(self, name: str) -> bool:
        """Whether what it says now may go into the room ``name`` as a member's."""
        return not self.ended and name in self.rooms and (not self.narrowing or self.principal.may_enter(name))

    def was_put_out_of(self, room: ActorRef) -> bool:
        """Whether what waits in ``room`` of it is no longer to be heard."""
        return self.ended or (self.put_out_of is not None and room in self.put_out_of)

    def _look_what_it_only_reads(self) -> None:
        self.only_reads_some = self.principal.read_only or bool(self.read_only_rooms)

    def _settle(self) -> None:
        self.muted = self.ended or self.narrowing > 0 or self.put_out_of is not None


def principal_of(question: OpenSession) -> Principal:
    """Whom a session stands for: the ticket's, with what the backend adds to its metadata."""
    decision = question.decision
    if decision is None or decision.metadata is None:
        return question.principal
    return structs.replace(question.principal, metadata={**question.principal.metadata, **decision.metadata})


def info_of(principal: Principal, decision: ConnectAnswer | None) -> msgspec.Raw | None:
    """What presence shows of a session: the backend's word, else the ticket's; None: nothing."""
    return decision.info if decision is not None and bytes(decision.info) else principal.info
