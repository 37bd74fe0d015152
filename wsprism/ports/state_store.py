"""What outlives a restart."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

__all__ = ["StateKind", "StateStore"]


class StateKind(StrEnum):
    """What an entry of a ``StateStore`` is."""

    REVOCATION = "revocation"
    TICKET = "ticket"
    GENERATION = "generation"
    ANSWER = "answer"
    HISTORY = "history"


class StateStore(Protocol):
    """Where what a tenant must not forget outlives a restart. Only ``settled`` waits."""

    def entries(self, tenant: str, kind: StateKind, unix_now: float) -> list[tuple[bytes, bytes, float | None]]:
        """Key, value and end of what is kept and has not ended; before anything of this kind changes."""
        ...

    def put(self, tenant: str, kind: StateKind, key: bytes, value: bytes, expires_at: float | None = None) -> None:
        """Keep an entry, in place of the one that has this key; ``expires_at`` is Unix time in seconds."""
        ...

    def drop(self, tenant: str, kind: StateKind, key: bytes) -> None:
        """Keep it no longer."""
        ...

    async def settled(self) -> None:
        """Return when every change so far survives a crash."""
        ...
