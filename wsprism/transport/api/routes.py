"""The route table of the internal API: every call with what it takes, who may make it and what it answers.

Requests are dispatched by it and the OpenAPI document is made from it, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import BaseModel, TypeAdapter, ValidationError

from wsprism.transport.api import answers, histories, lists, models, presences, process, publishing, sessions
from wsprism.transport.api.calls import CallHandler

__all__ = ["OPERATIONS", "Match", "NoRoute", "Operation", "find_route", "name_fault", "split_path"]

TENANT: Final = "/v1/tenants/{tenant}"

PARAMETERS: Final[Mapping[str, TypeAdapter[str]]] = {
    "tenant": TypeAdapter(Annotated[str, "the tenant's id"]),
    "room": TypeAdapter(models.RoomName),
    "user": TypeAdapter(Annotated[str, "any: one that nobody has names no session"]),
    "what": TypeAdapter(Literal["user", "sid", "token_id"]),
    "name": TypeAdapter(Annotated[str, "any: one that is not revoked lifts nothing"]),
}
"""What may stand in a path, percent-encoded."""


@dataclass(frozen=True)
class Operation:
    """One call. ``refusals`` are statuses beyond those that every call has."""

    name: str
    method: str
    path: str
    summary: str
    handler: CallHandler
    answer: type[BaseModel]
    status: int = 200
    body: TypeAdapter[Any] | None = None
    query: type[BaseModel] | None = None
    refusals: tuple[int, ...] = ()
    idempotent: bool = False
    """Whether it takes an ``Idempotency-Key``."""
    audited: bool = False
    """Whether it is logged at info, with what was asked: what operators ask each other about."""
    any_key: bool = False
    """Whether a key that is scoped to tenants may make it, though it names no tenant."""
    large: bool = False
    """Whether its body may be as large as the tenant's messages ask for."""

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's parts; ``{name}`` stands for anything."""
        return tuple(self.path.split("/")[1:])

    @property
    def parameters(self) -> list[str]:
        """The names in its path."""
        return [one[1:-1] for one in self.segments if one.startswith("{")]

    @property
    def gateway_wide(self) -> bool:
        """Whether a key that is scoped to tenants may not make it."""
        return not self.any_key and not self.path.startswith("/v1/tenants")


@dataclass(frozen=True, slots=True)
class Match:
    """A call, and the decoded names of its path."""

    operation: Operation
    path: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nothing is there (no ``allowed``), or it takes other methods; ``fault``: a name in the path that cannot be."""

    allowed: tuple[str, ...] = ()
    fault: str = ""


_members = TypeAdapter(models.MembersBody)
_revocations = f"{TENANT}/revocations"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("info", "GET", "/v1/info", "The process", process.get_info, answers.InfoAnswer),
    Operation(
        "nodes", "GET", "/v1/nodes", "The nodes that share a broker", process.get_nodes, answers.NodesAnswer,
        refusals=(503,),
    ),
    Operation(
        "stats", "GET", "/v1/stats", "What the process does, now and in the last five minutes", process.get_stats,
        answers.StatsAnswer,
    ),
    Operation(
        "key", "GET", "/v1/key", "The key that asks, and what it may do", process.get_key, answers.KeyAnswer,
        any_key=True,
    ),
    Operation(
        "config", "GET", "/v1/config", "The running configuration, secrets masked", process.get_config,
        answers.ConfigAnswer,
    ),
    Operation(
        "drain", "POST", "/v1/drain", "End the process as SIGTERM does", process.drain, answers.DrainAnswer,
        202, audited=True,
    ),
    Operation(
        "reload", "POST", "/v1/reload", "Read the configuration again", process.reload, answers.ReloadAnswer,
        refusals=(422,), audited=True,
    ),
    Operation(
        "logLevels", "GET", "/v1/log-level", "The log levels", process.get_log_levels, answers.LogLevelsAnswer
    ),
    Operation(
        "logLevel", "PUT", "/v1/log-level", "Set a log level", process.set_log_level, answers.LogLevelAnswer,
        body=TypeAdapter(models.LogLevelBody), audited=True,
    ),
    Operation(
        "tenants", "GET", "/v1/tenants", "The tenants that the key may touch", lists.list_tenants, answers.TenantPage,
        query=models.TenantsQuery,
    ),
    Operation("tenant", "GET", TENANT, "One tenant", lists.get_tenant, answers.TenantAnswer),
    Operation(
        "backend", "GET", f"{TENANT}/backend", "Its backend: what was asked and told, what waits, what failed last",
        lists.get_backend, answers.BackendAnswer,
    ),
    Operation(
        "services", "GET", f"{TENANT}/services", "Its services of the operator's own code: version, state, last fault",
        lists.get_services, answers.ServicesAnswer,
    ),
    Operation(
        "sessions", "GET", f"{TENANT}/sessions", "Its sessions", lists.list_sessions, answers.SessionPage,
        query=models.SessionsQuery,
    ),
    Operation("user", "GET", f"{TENANT}/users/{{user}}", "One user's sessions", lists.get_user, answers.UserAnswer),
    Operation(
        "rooms", "GET", f"{TENANT}/rooms", "Its rooms", lists.list_rooms, answers.RoomPage, query=models.PageQuery
    ),
    Operation(
        "room", "GET", f"{TENANT}/rooms/{{room}}", "One room and its members", lists.get_room, answers.RoomAnswer,
        query=models.PageQuery,
    ),
    Operation(
        "history", "GET", f"{TENANT}/rooms/{{room}}/history", "What a room keeps", histories.read_history,
        answers.HistoryAnswer, query=models.HistoryQuery, refusals=(409, 503),
    ),
    Operation(
        "purgeHistory", "DELETE", f"{TENANT}/rooms/{{room}}/history", "Forget what a room keeps",
        histories.purge_history, answers.PlaceAnswer, refusals=(409, 503), audited=True,
    ),
    Operation(
        "presence", "GET", f"{TENANT}/rooms/{{room}}/presence", "Who is in a room", presences.read_presence,
        answers.PresenceAnswer, refusals=(409, 503),
    ),
    Operation(
        "publish", "POST", f"{TENANT}/rooms/{{room}}/publish", "Publish into a room", publishing.publish,
        answers.MembersAnswer, 202, models.publish_body, refusals=(409, 503), idempotent=True, large=True,
    ),
    Operation(
        "publishToRooms", "POST", f"{TENANT}/publish", "Publish into several rooms", publishing.publish_to_rooms,
        answers.RoomsAnswer, 202, TypeAdapter(models.PublishToRoomsBody), refusals=(409, 503), idempotent=True,
        large=True,
    ),
    Operation(
        "broadcast", "POST", f"{TENANT}/broadcast", "Send to every session", publishing.broadcast,
        answers.SessionsAnswer, 202, models.publish_body, refusals=(409, 503), idempotent=True, large=True,
    ),
    Operation(
        "send", "POST", f"{TENANT}/users/{{user}}/send", "Send to every session of a user", publishing.send,
        answers.SessionsAnswer, 202, models.publish_body, refusals=(409, 503), idempotent=True, large=True,
    ),
    Operation(
        "join", "POST", f"{TENANT}/rooms/{{room}}/members", "Join sessions to a room", sessions.join,
        answers.SessionsAnswer, body=TypeAdapter(models.JoinBody), refusals=(409, 503),
    ),
    Operation(
        "remove", "DELETE", f"{TENANT}/rooms/{{room}}/members", "Remove sessions from a room", sessions.remove,
        answers.SessionsAnswer, body=_members, refusals=(409, 503),
    ),
    Operation(
        "disconnect", "POST", f"{TENANT}/disconnect", "Close connections", sessions.disconnect,
        answers.SessionsAnswer, body=TypeAdapter(models.DisconnectBody), refusals=(409, 503), audited=True,
    ),
    Operation(
        "mintTicket", "POST", f"{TENANT}/tickets", "Mint a ticket that works once", sessions.mint_ticket,
        answers.TicketAnswer, 201, TypeAdapter(models.TicketBody), refusals=(409, 503),
    ),
    Operation(
        "revoke", "POST", f"{TENANT}/revoke", "Close sessions and refuse new ones until a time", sessions.revoke,
        answers.SessionsAnswer, body=TypeAdapter(models.RevokeBody), refusals=(503,), audited=True,
    ),
    Operation(
        "revocations", "GET", _revocations, "The revocations in force", sessions.list_revocations,
        answers.RevocationPage, query=models.PageQuery,
    ),
    Operation(
        "liftRevocation", "DELETE", f"{_revocations}/{{what}}/{{name}}", "Lift a revocation", sessions.lift_revocation,
        answers.LiftedAnswer, refusals=(503,), audited=True,
    ),
)  # fmt: skip


def split_path(raw_path: str) -> list[str] | None:
    """The parts of a raw path, percent-decoded one by one, so that no name can reach beyond its place.

    None: it is not UTF-8.
    """
    try:
        return [unquote(part, errors="strict") for part in raw_path.split("/")[1:]]
    except UnicodeDecodeError:
        return None


def find_route(method: str, parts: list[str]) -> Match | NoRoute:
    """The call that ``method`` and the parts of a path name."""
    allowed: list[str] = []
    for operation in OPERATIONS:
        names = _names(operation.segments, parts)
        if names is None:
            continue
        if operation.method != method:
            allowed.append(operation.method)
            continue
        for name, value in names.items():
            if (fault := name_fault(name, value)) is not None:
                return NoRoute(fault=fault)
        return Match(operation, names)
    return NoRoute(tuple(allowed))


def name_fault(name: str, value: str) -> str | None:
    """What is wrong with ``value`` as the part ``name`` of a path."""
    try:
        PARAMETERS[name].validate_python(value)
    except ValidationError as error:
        return f"{name}: {error.errors(include_url=False)[0]['msg']}"
    return None


def _names(segments: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    if len(segments) != len(parts):
        return None
    names = {}
    for segment, part in zip(segments, parts, strict=True):
        if segment.startswith("{"):
            if not part:
                return None
            names[segment[1:-1]] = part
        elif segment != part:
            return None
    return names
