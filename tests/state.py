"""A ``StateStore`` for tests: a table that a second gateway may be given, as a restart is."""

from __future__ import annotations

from wsprism.ports import StateKind

__all__ = ["MemoryStore"]


class MemoryStore:
    """``kept`` is everything, by tenant, kind and key."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, StateKind, bytes], tuple[bytes, float | None]] = {}

    def entries(self, tenant: str, kind: StateKind, unix_now: float) -> list[tuple[bytes, bytes, float | None]]:
        return [
            (key, value, end)
            for (whose, what, key), (value, end) in self.kept.items()
            if (whose, what) == (tenant, kind) and (end is None or end > unix_now)
        ]

    def put(self, tenant: str, kind: StateKind, key: bytes, value: bytes, expires_at: float | None = None) -> None:
        self.kept[tenant, kind, key] = (value, expires_at)

    def drop(self, tenant: str, kind: StateKind, key: bytes) -> None:
        self.kept.pop((tenant, kind, key), None)

    async def settled(self) -> None:
        return None
