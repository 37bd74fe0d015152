"""What a tenant's rooms remember: history, presence, the newest hot frames.

All of it applies with a reload, to rooms that are open too; a room whose history is taken away forgets it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from wsprism.settings.base import Model, Text, to_tuple

__all__ = ["HistorySettings", "PresenceSettings", "RoomSettings", "SnapshotSettings"]


class HistorySettings(Model):
    """Publications that are kept, and recovered by who was away."""

    max_messages: int = Field(200, ge=1, le=100_000, description="the newest that are kept")
    max_bytes: int = Field(262_144, ge=1024, le=1_073_741_824, description="bytes of them")
    ttl_s: int = Field(600, ge=1, le=2_592_000, description="how long each is kept, and all after the last member left")
    recover_max_messages: int = Field(500, ge=1, le=100_000, description="missed messages that are still recovered")


class PresenceSettings(Model):
    """Who is in the room."""

    enabled: bool = Field(False, description="whether members may ask who is there")
    events: bool = Field(True, description="whether who asks is told of changes")
    linger_ms: int = Field(0, ge=0, le=600_000, description="how long a lost connection stays present")
    batch_ms: int = Field(500, ge=10, le=60_000, description="for which changes are gathered")
    max_listed: int = Field(1000, ge=1, le=100_000, description="users that are listed at once")
    max_diff_users: int = Field(200, ge=1, le=100_000, description="users of one diff; beyond it only totals")
    max_state_bytes: int = Field(1024, ge=0, le=65_536, description="largest state of a session")


Opcode = Annotated[int, Field(ge=0, le=255)]


class SnapshotSettings(Model):
    """The newest hot frame of each key, for whoever comes late."""

    max_keys: int = Field(512, ge=1, le=65_536, description="keys; the longest unchanged goes for one more")
    delete_opcodes: Annotated[tuple[Opcode, ...], BeforeValidator(to_tuple)] = Field(
        (), description="opcodes whose frames take their key away"
    )


class RoomSettings(Model):
    """What rooms of these names have; the first entry that matches counts."""

    match: Text = Field(max_length=256, description="pattern of names, `*` and `?` as in tickets")
    history: HistorySettings | None = Field(None, description="unset: none")
    presence: PresenceSettings = Field(PresenceSettings(), description="who is there")
    snapshot: SnapshotSettings | None = Field(None, description="unset: none; needs `qos.conflate`")
    scope: Literal["cluster", "node"] = Field(
        "cluster", description="node: with a broker, another room on each node; for rooms that open from then on"
    )
