"""Services of the ext lane that the gateway answers by itself, beside chat."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from wsprism.protocol.nesting import is_portable
from wsprism.settings.base import Model

__all__ = ["ExtRelaySettings", "ReplySettings", "StateSettings"]

_MAX_INFO_BYTES: Final = 16_384


class ExtRelaySettings(Model):
    """Any data of any type to the members of a room, with its sender's user id."""

    kind: Literal["relay"] = Field(description="any data of any type to the members of a room")


class StateSettings(Model):
    """Small values that the members of a room share, by key. They go with the room's last member."""

    kind: Literal["state"] = Field(description="small values that a room's members share")
    max_keys: int = Field(256, ge=1, le=65_536, description="keys of one room")
    max_bytes: int = Field(
        65_536, ge=1024, le=262_144, description="bytes of one room: keys, values, who set them, 64 for each"
    )


def _can_be_told(value: dict[str, Any]) -> dict[str, Any]:
    if not is_portable(value):
        raise PydanticCustomError("info", "must be what JSON can say")
    if len(str(value)) > _MAX_INFO_BYTES:
        raise PydanticCustomError("info", "must have at most {most} characters", {"most": _MAX_INFO_BYTES})
    return value


class ReplySettings(Model):
    """Answers the sender alone: the time, and what there is to know of the server."""

    kind: Literal["reply"] = Field(description="tells the time and about the server")
    version: bool = Field(False, description="whether `info` has the gateway's version")
    info: Annotated[dict[str, Any], AfterValidator(_can_be_told)] = Field(
        {}, description="further fields of `info`, as they stand here"
    )
