"""How many sessions one user may have, and which one gives way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.codes import ErrorCode

__all__ = ["Admit", "Deny", "EvictReason", "OnExceed", "SessionPolicy"]


_TOO_MANY_SESSIONS = Denied(Reason.TOO_MANY_SESSIONS, ErrorCode.TOO_MANY_SESSIONS)


class OnExceed(StrEnum):
    """What happens to one session too many."""

    DENY = "deny"
    KICK_OLDEST = "kick_oldest"


class EvictReason(StrEnum):
    """What an evicted session is told."""

    REPLACED = "replaced"
    KICKED_OLDEST = "kicked_oldest"


@dataclass(frozen=True, slots=True)
class Admit:
    """The new session may come in once these sids of the same user are gone."""

    evict: tuple[tuple[str, EvictReason], ...] = ()


@dataclass(frozen=True, slots=True)
class Deny:
    """The new session may not come in."""

    denied: Denied = _TOO_MANY_SESSIONS


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """``max_sessions_per_user`` 0 is unlimited. A ``single`` user has one session at most."""

    max_sessions_per_user: int
    on_exceed: OnExceed

    def decide(self, existing: Collection[str], new_sid: str) -> Admit | Deny:
        """``existing`` are the sids of the user's live sessions, oldest first. The same sid is always replaced.

        The work is that of what gives way, however many there are, when asking ``existing`` for one is no search.
        """
        is_replaced = new_sid in existing
        most = self.max_sessions_per_user
        surplus = len(existing) - is_replaced + 1 - most if most else 0
        if surplus > 0 and self.on_exceed is OnExceed.DENY:
            return Deny()
        replaced = [(new_sid, EvictReason.REPLACED)] if is_replaced else []
        others = (sid for sid in existing if sid != new_sid)
        kicked = [(sid, EvictReason.KICKED_OLDEST) for sid in islice(others, max(surplus, 0))]
        return Admit(tuple(replaced + kicked))
