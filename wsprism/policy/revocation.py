"""Who is locked out until a time: users, session ids and ticket ids of one tenant.

Pure: asked by the tenant at each handshake, and by a connection at each refresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wsprism.policy.expiring import ExpiringTable

__all__ = ["MAX_REVOCATIONS", "Revocable", "Revocation", "Revocations"]

MAX_REVOCATIONS = 100_000
"""Per tenant, all kinds together."""


class Revocable(StrEnum):
    """What a revocation names. A ``sid`` is meant whoever's it is: it is unique within its user only."""

    USER = "user"
    SID = "sid"
    TOKEN_ID = "token_id"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who is locked out until when (Unix time), and why, as far as it was said."""

    what: Revocable
    name: str
    until_s: float
    reason: str


class Revocations:
    """One tenant's; it lives as long as the process does."""

    def __init__(self, max_entries: int = MAX_REVOCATIONS) -> None:
        self._table: ExpiringTable[tuple[Revocable, str], str] = ExpiringTable(max_entries)

    def __len__(self) -> int:
        return len(self._table)

    def revoke(self, what: Revocable, name: str, until_s: float, now_s: float, reason: str = "") -> bool:
        """Lock out ``name`` until ``until_s`` (a time that has passed lifts it). False: the table is full.

        Both are Unix times. A later word on the same name replaces the earlier. ``reason`` is for operators.
        """
        return self._table.put((what, name), reason, until_s, now_s)

    def lift(self, what: Revocable, name: str, now_s: float) -> bool:
        """Let ``name`` in again. False: it was not locked out."""
        return self._table.take((what, name), now_s) is not None

    def page(self, after: int, limit: int, now_s: float) -> tuple[list[Revocation], int | None]:
        """Those in force, in the order of the words on them: up to ``limit`` behind the number ``after``.

        With the last one's number if there are more.
        """
        found, last = self._table.page(after, limit, now_s)
        return [Revocation(what, name, until_s, reason) for (what, name), reason, until_s in found], last

    def covers(self, user: str, sid: str, token_id: str | None, now_s: float) -> bool:
        """Whether a session of these three is locked out."""
        if not len(self._table):
            return False
        named = ((Revocable.USER, user), (Revocable.SID, sid), (Revocable.TOKEN_ID, token_id))
        return any(self._table.get((what, name), now_s) is not None for what, name in named if name is not None)
