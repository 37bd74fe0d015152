"""One tenant of the configuration: limits, policy, qos, auth, services."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from wsprism.policy.allowlist import AllowlistError, ExtAllowlist, HotAllowlist
from wsprism.policy.origins import is_origin_entry
from wsprism.protocol.envelope import is_name
from wsprism.settings.auth import Auth
from wsprism.settings.backend import BackendSettings, WebhookServiceSettings
from wsprism.settings.base import Count, Model, to_tuple
from wsprism.settings.builtin import ExtRelaySettings, ReplySettings, StateSettings
from wsprism.settings.python_services import PythonHotSettings, PythonServiceSettings
from wsprism.settings.rooms import RoomSettings
from wsprism.settings.wasm import WasmHotSettings, WasmServiceSettings

__all__ = ["LimitsSettings", "PolicySettings", "QosSettings", "ServicesSettings", "SessionsSettings", "TenantSettings"]

RESERVED_FOR_MSGPACK = (*range(0x80, 0x90), 0xDE, 0xDF)


class LimitsSettings(Model):
    """Exact limits; 0 is unlimited for every count."""

    max_frame_bytes: int = Field(
        4096, gt=0, description="largest message, all fragments together; larger is closed 1009"
    )
    max_sessions_total: Count = Field(0, description="sessions of the tenant")
    max_rooms_total: Count = Field(0, description="rooms of the tenant")
    max_users_per_room: Count = Field(0, description="different users in one room")
    max_rooms_per_user: Count = Field(0, description="different rooms of one user")
    max_history_bytes: Count = Field(67_108_864, description="bytes of all histories; the least used goes first")
    max_history_rooms: Count = Field(10_000, description="histories; the least used goes first")
    max_state_bytes: Count = Field(67_108_864, description="bytes of all values of services of kind `state`")
    max_backend_bytes: int = Field(65_536, ge=1024, le=16_777_216, description="bytes of a message of the backend")


class SessionsSettings(Model):
    """How many sessions one user may have."""

    mode: Literal["single", "multi"] = Field("multi", description="`single` requires max_sessions_per_user: 1")
    max_sessions_per_user: Count = Field(4, description="sessions of one user; 0 is unlimited")
    on_exceed: Literal["deny", "kick_oldest"] = Field("deny", description="what happens to one session too many")

    @model_validator(mode="before")
    @classmethod
    def _single_is_one(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("mode") == "single" and "max_sessions_per_user" not in value:
            return value | {"max_sessions_per_user": 1}
        return value

    @field_validator("max_sessions_per_user")
    @classmethod
    def _single_requires_one(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("mode") == "single" and value != 1:
            raise PydanticCustomError("single", "must be 1 when mode is single")
        return value


def _entry_of(allowlist: type[ExtAllowlist | HotAllowlist]) -> AfterValidator:
    def check(entry: str) -> str:
        try:
            allowlist.compile([entry])
        except AllowlistError as error:
            raise PydanticCustomError("allowlist", "must be {allowed}", {"allowed": error.allowed}) from error
        return entry

    return AfterValidator(check)


ExtEntries = Annotated[tuple[Annotated[str, _entry_of(ExtAllowlist)], ...], BeforeValidator(to_tuple)]
HotEntries = Annotated[tuple[Annotated[str, _entry_of(HotAllowlist)], ...], BeforeValidator(to_tuple)]


class PolicySettings(Model):
    """What is allowed, and how often."""

    rate_limit_rps: float = Field(200, gt=0, description="messages per second, both lanes together")
    rate_limit_burst: int = Field(400, gt=0, description="messages at once")
    rate_limit_scope: Literal["tenant", "connection", "both"] = Field(
        "connection", description="whose bucket is charged"
    )
    rate_limit_close_after_ms: Count = Field(
        0, description="close 4002 after being over the limit this long; 0 = never"
    )
    max_protocol_errors: Count = Field(16, description="faulty messages in a row before close 4503; 0 = never")
    ext_allowlist: ExtEntries = Field(
        ("room:join", "room:leave"), description="`svc:type` or `svc:*`; empty denies all"
    )
    hot_allowlist: HotEntries = Field((), description="`id:opcode` or `id:*`; empty denies all")
    sessions: SessionsSettings = Field(SessionsSettings(), description="sessions of one user")
    hot_error_mode: Literal["sys_error", "silent"] = Field("sys_error", description="whether a hot error is answered")
    hot_requires_active_room: bool = Field(True, description="false: without a room a frame returns to its sender")
    hot_framing: Literal["compact", "versioned"] = Field("compact", description="the header of hot frames")
    hot_room_numbers: bool = Field(False, description="whether every hot frame to a client has its room's number")
    publish_requires_membership: bool = Field(True, description="only members publish into a room")
    allow_msgpack: bool = Field(True, description="whether `wsprism.v1.msgpack` is negotiated")


class QosSettings(Model):
    """Bounds and behaviour of every connection's outbound queue."""

    control_max_messages: int = Field(256, ge=8, description="control messages; more close the connection 4000")
    reliable_max_bytes: int = Field(1_048_576, ge=1024, description="bytes of ext messages; more close it 4000")
    reliable_max_messages: int = Field(8192, ge=1, description="ext messages; more close it 4000")
    hot_max_frames: int = Field(512, ge=1, description="hot frames; the oldest is dropped for one more")
    reliable_weight: int = Field(4, ge=1, le=64, description="share of a congested socket for ext")
    hot_weight: int = Field(4, ge=1, le=64, description="share of a congested socket for hot")
    conflate: str = Field("none", description="`none`, `sender`, `sender_opcode` or `key:<n>` (first n payload bytes)")
    hot_flush_ms: int = Field(0, ge=0, le=1000, description="hot frames leave at most this often; 0 = at once")

    @field_validator("conflate")
    @classmethod
    def _conflate(cls, value: str) -> str:
        key = re.fullmatch(r"key:([0-9]{1,3})", value)
        if value not in ("none", "sender", "sender_opcode") and not (key and 1 <= int(key[1]) <= 255):
            raise PydanticCustomError("conflate", "must be none, sender, sender_opcode or key:<1-255>")
        return value


class ChatSettings(Model):
    """Text to every member of a room."""

    kind: Literal["chat"] = Field(description="text to every member of a room")


class EchoSettings(Model):
    """A hot service: each frame goes to every member of the sender's active room, the sender included."""

    kind: Literal["echo"] = Field(description="to every member of the active room, the sender included")
    include_sender: bool = Field(
        False, description="frames go out with the sender's user id in them (flag SENDER_PRESENT)"
    )


class RelaySettings(Model):
    """A hot service: each frame goes to every other member of the active room; its sender hears nothing of it."""

    kind: Literal["relay"] = Field(description="to every other member of the active room")
    include_sender: bool = Field(
        False, description="frames go out with the sender's user id in them (flag SENDER_PRESENT)"
    )


class BackendHotSettings(Model):
    """A hot service: each frame goes to the backend's stream; what members hear, the backend publishes."""

    kind: Literal["backend"] = Field(description="to the backend's stream, and to no member")


def _expand(value: Any) -> Any:
    """`name: kind` is `name: {kind: kind}`."""
    if not isinstance(value, dict):
        return value
    return {name: {"kind": one} if isinstance(one, str) else one for name, one in value.items()}


def _expand_ids(value: Any) -> Any:
    expanded = _expand(value)
    if not isinstance(expanded, dict):
        return expanded
    return {
        int(key) if isinstance(key, str) and re.fullmatch(r"0|[1-9][0-9]{0,2}", key) else key: one
        for key, one in expanded.items()
    }


BuiltInExtSettings = ChatSettings | ExtRelaySettings | ReplySettings | StateSettings | WebhookServiceSettings
BuiltInHotSettings = EchoSettings | RelaySettings | BackendHotSettings
ExtServiceSettings = Annotated[
    BuiltInExtSettings | PythonServiceSettings | WasmServiceSettings,
    Discriminator("kind"),
]
ExtKind = Literal["chat", "relay", "reply", "state", "webhook"]
HotId = Annotated[int, Field(ge=0, le=255)]
HotServiceSettings = Annotated[BuiltInHotSettings | PythonHotSettings | WasmHotSettings, Discriminator("kind")]


class ServicesSettings(Model):
    """What messages can reach. `room` and `sys` are always there."""

    ext: Annotated[
        dict[str, ExtServiceSettings],
        BeforeValidator(_expand, json_schema_input_type=dict[str, ExtServiceSettings | ExtKind]),
    ] = Field(
        {"chat": ChatSettings(kind="chat")},
        description="name of the service to its kind (`chat`, `python`, `relay`, `reply`, `state`, `wasm`, `webhook`)",
    )
    hot: Annotated[
        dict[HotId, HotServiceSettings],
        BeforeValidator(
            _expand_ids, json_schema_input_type=dict[str, HotServiceSettings | Literal["echo", "relay", "backend"]]
        ),
    ] = Field(
        {1: EchoSettings(kind="echo")},
        description="service id to its kind (`echo`, `relay`, `backend`, `python`, `wasm`)",
    )

    @field_validator("ext")
    @classmethod
    def _own_names(cls, value: dict[str, ExtServiceSettings]) -> dict[str, ExtServiceSettings]:
        odd = [name for name in value if not is_name(name)]
        if odd:
            words = {"names": ", ".join(map(repr, odd))}
            raise PydanticCustomError(
                "service_name", "{names} cannot be a name: take 1 to 64 letters, digits and . _ -", words
            )
        taken = {"room", "sys"} & set(value)
        if taken:
            words = {"names": ", ".join(sorted(taken))}
            raise PydanticCustomError("service_name", "{names} is built in: choose another name", words)
        return value


def _origin(entry: str) -> str:
    if not is_origin_entry(entry):
        raise PydanticCustomError(
            "origin", "must be an origin such as https://example.com, https://*.example.com:8443 or null"
        )
    return entry


Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(to_tuple)]


class TenantSettings(Model):
    """One isolated tenant."""

    id: str = Field(description="unique; clients name it in `?tenant=`", min_length=1, max_length=64)
    limits: LimitsSettings = Field(LimitsSettings(), description="exact limits")
    policy: PolicySettings = Field(PolicySettings(), description="what is allowed")
    qos: QosSettings = Field(QosSettings(), description="outbound queues")
    auth: Auth = Field((), description="how tickets are judged; none: every ticket is refused")
    services: ServicesSettings = Field(ServicesSettings(), description="what messages can reach")
    rooms: Annotated[tuple[RoomSettings, ...], BeforeValidator(to_tuple)] = Field(
        (), description="what rooms remember, by their names"
    )
    backend: BackendSettings | None = Field(
        None, validate_default=True, description="what the backend is asked and told; unset: nothing"
    )
    allowed_origins: Origins | None = Field(None, description="origins of browsers; unset: any")

    @field_validator("id")
    @classmethod
    def _unique_and_not_blank(cls, value: str, info: ValidationInfo) -> str:
        if not value.strip() or not value.isprintable():
            raise PydanticCustomError("tenant_id", "must not be blank and must be printable")
        seen = (info.context or {}).get("tenant_ids", set())
        if value in seen:
            raise PydanticCustomError("duplicate_id", "two tenants have this id")
        seen.add(value)
        return value

    @field_validator("services")
    @classmethod
    def _no_reserved_ids(cls, value: ServicesSettings, info: ValidationInfo) -> ServicesSettings:
        reserved = sorted(set(value.hot) & set(RESERVED_FOR_MSGPACK))
        policy = info.data.get("policy")
        if reserved and isinstance(policy, PolicySettings) and policy.allow_msgpack:
            raise PydanticCustomError(
                "reserved_id",
                "hot service id {ids} begins like a MessagePack map: choose another or set policy.allow_msgpack: false",
                {"ids": ", ".join(map(str, reserved))},
            )
        return value

    @field_validator("backend")
    @classmethod
    def _hot_services_need_a_stream(cls, value: BackendSettings | None, info: ValidationInfo) -> BackendSettings | None:
        services = info.data.get("services")
        hot = services.hot if isinstance(services, ServicesSettings) else {}
        meant = sorted(number for number, one in hot.items() if one.kind == "backend")
        if meant and (value is None or not value.stream):
            raise PydanticCustomError(
                "stream",
                "hot service {ids} goes to the backend's stream: set backend.stream: true",
                {"ids": ", ".join(map(str, meant))},
            )
        return value
