"""What the internal listener of several workers knows of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["WorkerSeen", "WorkersSeen"]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """``internal`` is the path of its own internal listener; None: it is not there. ``unready``: why nobody should be
    sent to it, if so."""

    number: int
    internal: str | None
    unready: str | None
    restarts: int


class WorkersSeen(Protocol):
    """All of them, at this moment."""

    @property
    def draining(self) -> bool: ...
    def workers(self) -> Iterable[WorkerSeen]: ...
