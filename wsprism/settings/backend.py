"""A tenant's backend: where it is asked and told, and what it is asked and told of. All of it applies to the next call
after a reload; news that wait are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from wsprism.errors import InternalError
from wsprism.protocol.standard_webhooks import parse_secret
from wsprism.settings.base import Model, Strings, to_tuple
from wsprism.settings.urls import Url, WebhookSecrets

__all__ = ["BackendSettings", "BreakerSettings", "EventBatchSettings", "WebhookServiceSettings"]

Question = Literal["connect", "join"]
Event = Literal["connected", "disconnected", "joined", "left", "room_opened", "room_closed", "publication"]


class BreakerSettings(Model):
    """When a backend that fails is left alone."""

    failures: int = Field(10, ge=1, le=1_000_000, description="failures in a row, after which it is left alone")
    pause_ms: int = Field(5000, ge=100, le=60_000, description="for so long; then one probe decides")


class EventBatchSettings(Model):
    """How news are gathered."""

    max_events: int = Field(100, ge=1, le=1000, description="events of one call")
    max_delay_ms: int = Field(200, ge=0, le=10_000, description="the longest that an event waits for others")


class BackendSettings(Model):
    """What is asked and told, and how much of it may wait."""

    secret: WebhookSecrets | None = Field(
        None, description="`whsec_…`, or a list while rotating: each signs every call"
    )
    stream: bool = Field(
        False, description="the backend may connect by itself, and is asked there while it is connected"
    )
    url: Url | None = Field(None, validate_default=True, description="where calls go")
    timeout_ms: int = Field(2000, ge=50, le=30_000, description="for the answer to a question")
    max_in_flight: int = Field(64, ge=1, le=1024, description="questions under way")
    max_waiting: int = Field(
        1024, ge=0, le=65_536, description="more that wait; one more is RESOURCE_EXHAUSTED at once"
    )
    breaker: BreakerSettings = Field(BreakerSettings(), description="when it is left alone")
    ask: Annotated[tuple[Question, ...], BeforeValidator(to_tuple)] = Field(
        (), description="what it decides: `connect`, `join`"
    )
    on_failure: Literal["deny", "allow"] = Field("deny", description="what no usable answer to connect and join means")
    events: Annotated[tuple[Event, ...], BeforeValidator(to_tuple)] = Field(
        (),
        description="what it is told: `connected`, `disconnected`, `joined`, `left`, `room_opened`, `room_closed`, "
        "`publication`",
    )
    event_rooms: Strings | None = Field(
        None, description="patterns of rooms that joined, left, room_* and publication are told of; unset: all"
    )
    event_batch: EventBatchSettings = Field(EventBatchSettings(), description="how news are gathered")
    event_queue_max: int = Field(
        10_000, ge=1, le=1_000_000, description="events that wait; the oldest goes for one more"
    )
    event_max_age_s: int = Field(3600, ge=1, le=86_400, description="how long an event is tried")

    @field_validator("url")
    @classmethod
    def _can_be_reached(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "secret" not in info.data or "stream" not in info.data:
            return value
        if value is not None and info.data["secret"] is None:
            raise PydanticCustomError("backend", "url needs secret: every call is signed")
        if value is None and info.data["secret"] is None and not info.data["stream"]:
            raise PydanticCustomError("backend", "needs url and secret, or stream: true, found neither")
        return value

    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys in ``secret``, each of which signs."""
        found = [parse_secret(one.get_secret_value()) for one in self.secret or ()]
        if None in found:
            raise InternalError("a secret that was validated is none")
        return tuple(key for key in found if key is not None)


class WebhookServiceSettings(Model):
    """The backend answers this service's messages."""

    kind: Literal["webhook"] = Field(description="the backend answers its messages")
    url: Url | None = Field(None, description="where it is asked; unset: at the backend's url or stream")
    timeout_ms: int | None = Field(None, ge=50, le=30_000, description="for the answer; unset: the backend's")
    batch: int = Field(1, ge=1, le=1000, description="messages that wait anyway, asked in one call")
    per_connection: int = Field(1, ge=1, le=16, description="of one connection under way; 1 keeps their order")
    max_pending_per_connection: int = Field(
        16, ge=1, le=1024, description="of one connection waiting or under way; one more is RESOURCE_EXHAUSTED"
    )
