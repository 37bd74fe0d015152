"""What callers of the internal API send: the models that check it, and that its OpenAPI document is made from.

Strict and closed. A message says what is wrong, in words fit for the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from wsprism.policy.users import is_user_id
from wsprism.protocol.envelope import MAX_NAME_LENGTH, MAX_ROOM_LENGTH, MAX_SEQ, is_room_name
from wsprism.protocol.frames import MAX_REASON_BYTES
from wsprism.protocol.hot import MAX_SENDER_BYTES
from wsprism.protocol.places import DEFAULT_HISTORY_LIMIT, MAX_EPOCH_LENGTH, MAX_HISTORY_LIMIT

__all__ = [
    "MAX_PUBLICATIONS",
    "MAX_ROOMS",
    "DisconnectBody",
    "ExcludeBody",
    "ExtItem",
    "HistoryQuery",
    "HotItem",
    "JoinBody",
    "LogLevelBody",
    "MembersBody",
    "PageQuery",
    "PublishBody",
    "PublishToRoomsBody",
    "RevokeBody",
    "RoomName",
    "SessionsQuery",
    "TenantsQuery",
    "TicketBody",
    "UserId",
    "publish_body",
]

MAX_PUBLICATIONS = 100
"""In one list: it is published in one step, which nothing may come between."""

MAX_ROOMS = 1000
"""Of one publication; they too have it in one step."""

MAX_TTL_S = 86_400

MAX_REVOCATION_REASON = 200


T = TypeVar("T")


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


if TYPE_CHECKING:
    Given: TypeAlias = T | None
else:

    class Given:
        """``Given[T]``: a ``T``, or not given at all, which reads as None. An explicit null is a fault."""

        def __class_getitem__(cls, kind: Any) -> Any:
            return Annotated[kind, Field(json_schema_extra=_without_default)]


class Model(BaseModel):
    """Strict, closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise PydanticCustomError(
            "user", "must be a user id: 1-{most} bytes of UTF-8, no control characters", {"most": MAX_SENDER_BYTES}
        )
    return value


def _room_name(value: str) -> str:
    if not is_room_name(value):
        raise PydanticCustomError("room", "must be a room name: 1-128 characters, no control characters")
    return value


def _reason(value: str) -> str:
    if len(value.encode("utf-8", "replace")) > MAX_REASON_BYTES:
        raise PydanticCustomError("reason", "must be at most {most} bytes of UTF-8", {"most": MAX_REASON_BYTES})
    return value


def _not_sys(value: str) -> str:
    if value == "sys":
        raise PydanticCustomError("svc", "must not be sys: what the gateway itself says")
    return value


UserId = Annotated[
    str,
    AfterValidator(_user_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_SENDER_BYTES,
            "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
        }
    ),
]
RoomPattern = Annotated[str, Field(min_length=1, max_length=MAX_ROOM_LENGTH)]
RoomName = Annotated[
    str,
    AfterValidator(_room_name),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": MAX_ROOM_LENGTH, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"}
    ),
]
Sid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[A-Za-z0-9_.\-]+$")]


class ExcludeBody(Model):
    """Who does not get it: all sessions of a user, those with a sid, or a user's one with a sid."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["user"]}, {"required": ["sid"]}]})

    user: Given[UserId] = None
    sid: Given[Sid] = None

    @model_validator(mode="after")
    def _names_somebody(self) -> ExcludeBody:
        if self.user is None and self.sid is None:
            raise PydanticCustomError("whom", "must name a user or a sid")
        return self


class ExtItem(Model):
    """A message of the ext lane."""

    svc: Annotated[Name, AfterValidator(_not_sys)] = Field(
        description="the service that it is from, any but sys", json_schema_extra={"not": {"const": "sys"}}
    )
    type: Name = Field(description="its type")
    data: Any = Field(None, description="any JSON")
    id: Given[Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]] = Field(
        None, description="a name of its own: in a room with a history it is published once only"
    )
    exclude: Given[ExcludeBody] = Field(None, description="who does not get it")


class HotItem(Model):
    """A frame of the hot lane, in the tenant's framing."""

    hot: str = Field(
        min_length=4,
        pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        description="the whole frame in base64; the flag of a sender must not be set",
        json_schema_extra={"contentEncoding": "base64"},
    )
    exclude: Given[ExcludeBody] = Field(None, description="who does not get it")


def _lane(value: Any) -> str:
    return "hot" if isinstance(value, dict) and "hot" in value else "ext"


def _is_list(value: Any) -> str:
    return "list" if isinstance(value, list) else "one"


Item = Annotated[Annotated[ExtItem, Tag("ext")] | Annotated[HotItem, Tag("hot")], Discriminator(_lane)]
PublishBody = Annotated[
    Annotated[Item, Tag("one")] | Annotated[list[Item], Field(min_length=1, max_length=MAX_PUBLICATIONS), Tag("list")],
    Discriminator(_is_list),
]
publish_body: TypeAdapter[ExtItem | HotItem | list[ExtItem | HotItem]] = TypeAdapter(PublishBody)
"""One message, or a list that is published in its order."""


class PublishToRoomsBody(Model):
    """Messages for several rooms."""

    rooms: Annotated[list[RoomName], Field(min_length=1, max_length=MAX_ROOMS)] = Field(
        description="a room that stands twice is one"
    )
    messages: PublishBody = Field(description="one message, or a list that is published in its order")
    exclude: Given[ExcludeBody] = Field(None, description="who gets none of those that do not say so themselves")


class MembersBody(Model):
    """Whose sessions: all of a user, the one with a sid, or a user's one with a sid."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["user"]}, {"required": ["sid"]}]})

    user: Given[UserId] = None
    sid: Given[Sid] = None

    @model_validator(mode="after")
    def _names_somebody(self) -> MembersBody:
        if self.user is None and self.sid is None:
            raise PydanticCustomError("whom", "must name a user or a sid")
        return self


class JoinBody(MembersBody):
    """Whose sessions are to be joined."""

    active: bool = Field(False, description="it becomes their active room, also of those that have one")


class DisconnectBody(Model):
    """Whose connections: of a user, of a sid, of a user's sid, or of everybody in a room."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["room"]},
                {"anyOf": [{"required": ["user"]}, {"required": ["sid"]}]},
            ]
        }
    )

    user: Given[UserId] = None
    sid: Given[Sid] = None
    room: Given[RoomName] = None
    reason: Annotated[str, Field(max_length=MAX_REASON_BYTES), AfterValidator(_reason)] = Field(
        "disconnected", description="told to the client; at most 123 bytes of UTF-8"
    )
    code: int = Field(4500, ge=4000, le=4999, description="close code; below 4500 clients come back by themselves")

    @model_validator(mode="after")
    def _names_one(self) -> DisconnectBody:
        if (self.room is None) == (self.user is None and self.sid is None):
            raise PydanticCustomError("whom", "must name either a room, or a user or a sid")
        return self


class TicketBody(Model):
    """A ticket that works once."""

    user: UserId
    ttl_s: int = Field(ge=1, le=MAX_TTL_S, description="how long it can be used, not how long its connection lives")
    claims: Given[dict[str, Any]] = Field(None, description="kept with the session")
    rooms: Given[Annotated[list[RoomPattern], Field(max_length=100)]] = Field(
        None, description="patterns of the rooms that it may join; not given: any"
    )
    read_only: bool = Field(False, description="it may not publish")


class RevokeBody(Model):
    """Whose tickets: exactly one of user, sid and token_id."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("user", "sid", "token_id")]}
    )

    user: Given[UserId] = None
    sid: Given[Sid] = None
    token_id: Given[Annotated[str, Field(min_length=1, max_length=512)]] = None
    until_s: Given[Annotated[float, Field(ge=0, le=1e12)]] = Field(
        None, description="Unix time in seconds; not given: an hour from now"
    )
    reason: Given[Annotated[str, Field(max_length=MAX_REVOCATION_REASON)]] = Field(
        None, description="for whoever reads the list of revocations; no client is told"
    )

    @model_validator(mode="after")
    def _names_one(self) -> RevokeBody:
        if sum(one is not None for one in (self.user, self.sid, self.token_id)) != 1:
            raise PydanticCustomError("whom", "must name exactly one of user, sid and token_id")
        return self


class LogLevelBody(Model):
    """A level, for one component or all that have none of their own."""

    component: Given[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        None, description="such as `connection` or `http`; `wsprism.connection` is the same"
    )
    level: Literal["debug", "info", "warning", "error"]


class Query(BaseModel):
    """Closed and immutable; values are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=1000, description="the most items to answer")


class PageQuery(Query):
    """Which part of a list."""

    cursor: Given[Annotated[str, Field(pattern=r"^[0-9a-z]{1,12}$")]] = Field(
        None, description="`next_cursor` of the page before"
    )


class HistoryQuery(Query):
    """Which part of a room's history."""

    since_epoch: Given[Annotated[str, Field(min_length=1, max_length=MAX_EPOCH_LENGTH)]] = Field(
        None, description="the epoch that the room must have"
    )
    since_offset: Given[Annotated[int, Field(ge=0, le=MAX_SEQ)]] = Field(
        None, description="what comes behind it, or before it with `reverse`"
    )
    limit: int = Field(DEFAULT_HISTORY_LIMIT, ge=1, le=MAX_HISTORY_LIMIT, description="the most items to answer")
    reverse: bool = Field(False, description="newest first")


class SessionsQuery(PageQuery):
    """Which part of the sessions, and whose."""

    user: Given[UserId] = Field(None, description="only this user's")
    sid: Given[Sid] = Field(None, description="only those with this sid")
    room: Given[RoomName] = Field(None, description="only this room's")


class TenantsQuery(Query):
    """Which part of the tenants."""

    cursor: Given[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        None, description="`next_cursor` of the page before"
    )
