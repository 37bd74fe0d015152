"""A tenant's backend: what it is asked, what it is told, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from wsprism.ports.streams import StreamHub
from wsprism.protocol.backend import ConnectAnswer, SessionFacts
from wsprism.protocol.traces import CallTrace

__all__ = ["BackendFigures", "BackendLine", "BackendPort", "CallResult", "NewsPort", "Unanswered"]


class CallResult(StrEnum):
    """How a question to a tenant's backend ended; a metric's label."""

    OK = "ok"
    REFUSED = "refused"
    """The backend works, and says no (a 4xx)."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"
    """There was an answer, and it cannot be used."""
    OVERLOADED = "overloaded"
    """Too much waits already: it was not asked."""
    OPEN = "open"
    """It failed too often and is not asked for a while."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer that could be used; ``why`` is for operators and holds no secret."""

    result: CallResult
    why: str


class BackendLine(Protocol):
    """Where one connection's messages to one service wait for their turn, in their order."""

    @property
    def pending(self) -> int:
        """Messages that have no answer yet."""
        ...


class NewsPort(Protocol):
    """Who is told what happens in a tenant. No method waits."""

    def tells(self, event: str, room: str | None = None) -> bool:
        """Whether anybody wants to know of this event (of this room)."""
        ...

    def tell(self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]) -> None:
        """Hand on one event, which has just happened; fields that are None are left out."""
        ...

    def tell_once_known(
        self, event: str, session: SessionFacts | None, fields: Mapping[str, Any]
    ) -> Callable[[Mapping[str, Any]], None]:
        """The same, of what not all is known yet: call with the other fields. What happens meanwhile is told behind it.

        Where too much waits for that, it is told without them.
        """
        ...


@dataclass(frozen=True, slots=True)
class BackendFigures:
    """What a tenant's backend has cost and what waits for it, now and since the start. Times are in seconds."""

    calls: Mapping[tuple[str, CallResult], int]
    duration: Any
    """A ``realtime.histogram.Histogram`` of the calls that were made."""
    in_flight: int
    waiting: int
    breakers: Mapping[str, str]
    """State by url (`stream`: of the streams): closed, open, probing."""
    streams: int
    """Connected now."""
    events_waiting: int
    events_sent: int
    events_missed: int
    oldest_event_s: float
    last_failure: str | None
    node: str


class BackendPort(NewsPort, Protocol):
    """A tenant's backend. Answers come by a callback, in a later turn of the loop; only ``ask_connect`` waits.
    ``trace``: the call is watched.

    A value that is returned at once says why nothing was asked, and then no callback comes.
    """

    @property
    def asks(self) -> frozenset[str]:
        """Decisions that it wants to make: ``connect``, ``join``."""
        ...

    @property
    def streams(self) -> StreamHub | None:
        """Where its streams are heard; None: it may not connect by itself."""
        ...

    def line(self, service: str) -> Any:
        """A new ``BackendLine`` for a webhook service; None: there is none of this name."""
        ...

    def withdraw(self, line: Any) -> None:
        """Its connection has ended: what has not been asked is forgotten."""
        ...

    def ask_message(
        self,
        service: str,
        line: Any,
        session: SessionFacts,
        message: Mapping[str, Any],
        data_bytes: int,
        answered: Callable[[Any], object],
        trace: CallTrace | None = None,
    ) -> CallResult | None:
        """Have a message answered by a list of effects, or ``Unanswered``."""
        ...

    @property
    def figures(self) -> BackendFigures:
        """What there is to say of it at this moment."""
        ...

    @property
    def on_failure_allow(self) -> bool:
        """What no usable answer to a decision means."""
        ...

    async def ask_connect(
        self, fields: Mapping[str, Any], trace: CallTrace | None = None
    ) -> ConnectAnswer | Unanswered:
        """Have a handshake decided; this one waits."""
        ...

    def ask_join(
        self,
        fields: Mapping[str, Any],
        data_bytes: int,
        answered: Callable[[Any], object],
        trace: CallTrace | None = None,
    ) -> CallResult | None:
        """Have a join decided by a ``JoinAnswer``, or ``Unanswered``."""
        ...
