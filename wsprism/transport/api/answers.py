"""What the internal API answers: the models that write it, and that its OpenAPI document is made from.

Numbers without a unit are counts; ``*_per_s`` are means over the last ten seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = [
    "BackendAnswer",
    "BackendEvents",
    "BackendState",
    "BuildAnswer",
    "ClassBacklog",
    "ConfigAnswer",
    "DrainAnswer",
    "HistoryAnswer",
    "HistoryItem",
    "InfoAnswer",
    "LiftedAnswer",
    "LimitsAnswer",
    "LogLevelAnswer",
    "LogLevelsAnswer",
    "MemberItem",
    "MembersAnswer",
    "NodeItem",
    "NodesAnswer",
    "PlaceAnswer",
    "PresenceAnswer",
    "PresenceItem",
    "ProblemAnswer",
    "ProblemError",
    "QueueAnswer",
    "RatesAnswer",
    "ReloadAnswer",
    "RevocationItem",
    "RevocationPage",
    "RoomAnswer",
    "RoomItem",
    "RoomPage",
    "RoomsAnswer",
    "ServiceItem",
    "ServicesAnswer",
    "SessionItem",
    "SessionPage",
    "SessionsAnswer",
    "StatsAnswer",
    "StatsPoints",
    "StatusAnswer",
    "TenantAnswer",
    "TenantPage",
    "TicketAnswer",
    "UserAnswer",
]


_NODE: Final = "where it is; left out where the gateway is one process"


def _is_none(value: object) -> bool:
    return value is None


class Answer(BaseModel):
    """Closed: what is not documented is not answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StatusAnswer(Answer):
    """Whether the process is alive or ready."""

    status: str


class BuildAnswer(Answer):
    """What runs."""

    python: str
    loop: str = Field(description="the event loop: uvloop or asyncio")
    compiled: bool = Field(description="whether the hot modules are native code")


class InfoAnswer(Answer):
    """The process."""

    version: str
    build: BuildAnswer
    uptime_s: float
    configuration_hash: str
    configuration_generation: int = Field(description="1 at the start, one more with every reload that is applied")
    draining: bool
    connections: int
    tenants: int


class NodeItem(Answer):
    """One process of those that share a broker."""

    name: str
    incarnation: int = Field(description="never given twice; 0 where there is no broker")
    lease_age_ms: int = Field(description="since it last said that it lives")
    connections: int
    version: str
    configuration_hash: str = Field(description="of all that nodes have in common")
    differs: bool = Field(description="whether its configuration is another than that of most who are not silent")
    silent: bool = Field(description="whether it has said nothing for half a lease, as one that died")
    draining: bool = Field(description="whether it has been told to end: it takes nobody new")


class NodesAnswer(Answer):
    """All nodes, whatever their tenants; without a broker the process itself."""

    items: list[NodeItem]


class ConfigAnswer(Answer):
    """The running configuration as ``wsprism.yaml`` has it, secrets masked."""

    model_config = ConfigDict(extra="allow")

    version: int
    gateway: dict[str, Any]
    logging: dict[str, Any]
    tenants: list[dict[str, Any]]


class LimitsAnswer(Answer):
    """``tenants[].limits``; 0 is unlimited."""

    max_frame_bytes: int
    max_sessions_total: int
    max_rooms_total: int
    max_users_per_room: int
    max_rooms_per_user: int


class RatesAnswer(Answer):
    """What clients send, and what is written to them; WebSocket payloads in, whole frames out."""

    messages_in_per_s: float
    messages_out_per_s: float
    bytes_in_per_s: float
    bytes_out_per_s: float


class TenantAnswer(Answer):
    """One tenant now."""

    tenant: str
    limits: LimitsAnswer
    sessions: int
    rooms: int
    rates: RatesAnswer


class Page(Answer):
    """``next_cursor`` is the next page's ``cursor``; null: this is the last page."""

    next_cursor: str | None


class BackendEvents(Answer):
    """News for a backend."""

    waiting: int
    sent: int
    missed: int
    oldest_s: float = Field(description="how long the oldest has waited")


class BackendAnswer(Answer):
    """A tenant's backend, since the start of the process."""

    node: str = Field(description="stands in all news; new with each start")
    calls: dict[str, dict[str, int]] = Field(description="by kind and result")
    in_flight: int
    waiting: int
    breakers: dict[str, str] = Field(description="by url, `stream` for the streams: closed, open or probing")
    streams: int = Field(description="connected now")
    events: BackendEvents
    last_failure: str | None = Field(description="in words; none since the start: null")


class ServiceItem(Answer):
    """A service that is code of the operator's."""

    lane: Literal["ext", "hot"]
    name: str = Field(description="as in the configuration; of the hot lane the id")
    kind: str
    since: datetime = Field(description="when this version was put in force")
    version: str = Field(description="a hash of its code and options")
    state: Literal["running", "suspended"]
    last_fault: str | None = Field(description="in words; none since this version is in force: null")


class ServicesAnswer(Answer):
    """A tenant's services that are code of the operator's, in the order of the configuration."""

    items: list[ServiceItem]


class TenantPage(Page):
    """Tenants by id."""

    items: list[TenantAnswer]


class ClassBacklog(Answer):
    """What waits to be written."""

    messages: int
    bytes: int


class QueueAnswer(Answer):
    """A connection's outbound queue, class by class."""

    control: ClassBacklog
    reliable: ClassBacklog
    hot: ClassBacklog


class SessionItem(Answer):
    """One session."""

    sid: str
    user: str
    since: datetime
    address: str
    rooms: list[str] = Field(description="in the order of joining")
    active_room: str | None = Field(description="null too where its node is another than the one that is asked")
    queue: QueueAnswer | None = Field(description="null: its node is another than the one that is asked")
    generation: int = Field(description="grows with every session opened in the tenant: the greater is the newer")
    metadata: dict[str, Any] = Field(description="the ticket's claims, or what the webhook said; empty: none")
    info: Any = Field(description="what presence shows of it; null: nothing")
    node: str | None = Field(None, description=_NODE, exclude_if=_is_none)


class SessionPage(Page):
    """Sessions in the order of their opening, or those of one room in the order of joining."""

    items: list[SessionItem]


class UserAnswer(Answer):
    """One user: the sessions in the order of their opening, and the rooms of any of them."""

    user: str
    sessions: list[SessionItem]
    rooms: list[str]


class RoomItem(Answer):
    """One room's counts."""

    room: str
    users: int
    sessions: int
    node: str | None = Field(None, description="where the room lives on this one alone", exclude_if=_is_none)


class RoomPage(Page):
    """Rooms in the order of their making."""

    items: list[RoomItem]


class MemberItem(Answer):
    """One session in a room."""

    user: str
    sid: str
    node: str | None = Field(None, description=_NODE, exclude_if=_is_none)


class RoomAnswer(Page):
    """One room: its counts, and its members in the order of joining. A room that nobody is in has none."""

    room: str
    users: int
    sessions: int
    items: list[MemberItem]


class MembersAnswer(Answer):
    """How many sessions of the room a publication goes to, and its place where the room has a history."""

    members: int
    offset: int | None = Field(None, description="of its last message; left out where the room has no history")

    @model_serializer(mode="wrap")
    def _without_none(self, shown: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in shown(self).items() if value is not None}


class HistoryItem(Answer):
    """A publication that is kept."""

    offset: int
    time: str = Field(description="RFC 3339")
    svc: str
    type: str
    data: Any


class HistoryAnswer(Answer):
    """What a room keeps. An epoch names one unbroken history; null: nothing was kept yet."""

    epoch: str | None
    offset: int = Field(description="of the last publication")
    items: list[HistoryItem]
    more: bool = Field(description="whether there are more behind the last item")


class PresenceItem(Answer):
    """A session that is present."""

    sid: str
    since: str = Field(description="RFC 3339")
    info: Any = Field(None, description="what its ticket or backend says of it; left out where there is none")
    state: Any = Field(None, description="what it says of itself; left out where there is none")

    @model_serializer(mode="wrap")
    def _as_it_was_given(self, shown: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in shown(self).items() if name in self.model_fields_set}


class PresenceAnswer(Answer):
    """Who is in a room, by user. `truncated`: there are more users than are listed."""

    users: dict[str, list[PresenceItem]]
    total_users: int
    total_sessions: int
    truncated: bool


class PlaceAnswer(Answer):
    """Where a room goes on: the next publication is `offset` + 1."""

    epoch: str | None
    offset: int


class RoomsAnswer(Answer):
    """How many sessions each room has."""

    rooms: dict[str, int]


class RevocationItem(Answer):
    """Who is kept out until when (Unix time), and why, where it was said."""

    what: Literal["user", "sid", "token_id"]
    name: str
    until_s: float
    reason: str | None = Field(None, exclude_if=_is_none)


class RevocationPage(Page):
    """Revocations in force, in the order of the calls; one that was given a new end stands behind the others."""

    items: list[RevocationItem]


class LiftedAnswer(Answer):
    """How many revocations were lifted: 0 or 1."""

    revocations: int


class SessionsAnswer(Answer):
    """How many sessions it was done to."""

    sessions: int


class TicketAnswer(Answer):
    """A ticket that works once, until ``expires_at``."""

    ticket: str
    expires_at: datetime


class KeyAnswer(Answer):
    """The key that asked: its name, the tenants that exist for it, and whether it may only look."""

    name: str
    tenants: Literal["all"] | list[str]
    read_only: bool


class DrainAnswer(Answer):
    """The drain has begun."""

    draining: bool


class ReloadAnswer(Answer):
    """What a reload did."""

    result: str = Field(description="applied or unchanged")
    changed: list[str] = Field(description="what is in force now")
    needs_restart: list[str] = Field(description="what changed in the file and takes a restart")


class LogLevelAnswer(Answer):
    """The level that is in force now."""

    component: str | None
    level: str


class LogLevelsAnswer(Answer):
    """The levels that are in force now."""

    level: str = Field(description="of all components that have none of their own")
    levels: dict[str, str] = Field(description="components with one of their own")


class StatsPoints(Answer):
    """The last five minutes as columns of equal length, the oldest first: the last entries are now."""

    connections: list[int]
    messages_in_per_s: list[float] = Field(description="from clients")
    deliveries_out_per_s: list[float] = Field(description="messages written to clients")
    drops_per_s: list[float] = Field(description="messages that a full outbound queue dropped")
    refusals_per_s: list[float] = Field(description="refused handshakes, joins and messages")
    loop_lag_s: list[float] = Field(description="how late a timer fires, in the mean")
    memory_bytes: list[int] = Field(description="resident")
    cpu: list[float] = Field(description="cores in use")


class BackendState(Answer):
    """A tenant's backend now."""

    tenant: str
    breakers: dict[str, str] = Field(description="by url, `stream` for the streams: closed, open or probing")
    streams: int
    in_flight: int
    waiting: int
    events_waiting: int
    events_missed: int
    last_failure: str | None


class StatsAnswer(Answer):
    """What the process does."""

    interval_s: float = Field(description="between two points")
    points: StatsPoints
    backends: list[BackendState] = Field(description="of tenants that have one")


class ProblemError(Answer):
    """One fault of a body: where (a JSON pointer) and what."""

    pointer: str
    detail: str


class ProblemAnswer(Answer):
    """A refusal (RFC 9457); ``code`` is one of the protocol's stable error codes."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError] | None = None
