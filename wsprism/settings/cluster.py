"""Several nodes as one gateway: the Redis that they share, and what this one is called."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsprism.settings.base import Model, Secret, Text

__all__ = ["BrokerSettings", "NodeSettings"]


class BrokerSettings(Model):
    """The Redis (7.0 or newer) or Valkey (7.2 or newer) that all nodes share. Needs the extra `wsprism[redis]`."""

    url: Secret = Field(
        description="`redis://` or `rediss://user:password@host:port/0`, `unix:///path`, `sentinel://h1,h2,h3/name`"
    )
    prefix: Text = Field("wsprism", max_length=64, pattern=r"^[A-Za-z0-9_.-]+$", description="what all keys begin with")
    epoch_survives_failover: bool = Field(
        False, description="whether histories go on although a failover may have lost acknowledged messages"
    )


class NodeSettings(Model):
    """This process among the nodes that share a broker."""

    name: Text | None = Field(None, max_length=128, description="what operators call it; unset: the host's name")
    lease_ms: int = Field(10000, ge=3000, le=60000, description="without a word for so long it counts as dead")
    on_isolation: Literal["close", "keep"] = Field(
        "close", description="what becomes of its sessions once Redis has been away for 0.8 of the lease"
    )
