"""Services that are code of the operator's: what a tenant does for them, and what it asks of them besides messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wsprism.policy.suspension import Suspension
from wsprism.protocol.hot import Framing

__all__ = ["HostedService", "RoomWatcher", "ServiceCounts", "ServiceHost", "ServiceStatus"]


class RoomWatcher(Protocol):
    """A service that is told who comes to a tenant's rooms and who goes. No method waits or raises."""

    @property
    def name(self) -> str:
        """Stands as ``svc`` in what it publishes."""
        ...

    def joined(self, room: str, user: str, sid: str) -> Sequence[Any] | None:
        """A session is in a room that it was not in before. Publish and send effects, carried out behind its join."""
        ...

    def left(self, room: str, user: str, sid: str) -> Sequence[Any] | None:
        """A session is in the room no more; the same effects."""
        ...

    def closed(self, room: str) -> None:
        """The last member has left: the room is no more."""
        ...


class ServiceCounts(Protocol):
    """What a service counts of itself; it outlives the service, so that a reload takes nothing back."""

    calls: int
    effects: int
    fuel: int
    """Used by its calls, where they are bounded by fuel."""
    memory_bytes: int
    """Of its own memory now, where it has one."""
    slow: int
    """Calls that held the loop longer than they should."""
    suspensions: int
    suspension: Suspension | None
    """Its own, while there is a service."""
    faults: Counter[str]
    """By cause: one of a few names of ours."""
    duration: Any
    """A ``realtime.histogram.Histogram`` of some of its calls."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service of the operator's own code, at this moment. ``since`` is Unix time, ``version`` names its code."""

    lane: str
    name: str
    kind: str
    since: float
    version: str
    suspended: bool
    last_fault: str | None


class ServiceHost(Protocol):
    """What a tenant does for its services besides handing them messages."""

    @property
    def tenant(self) -> str: ...
    @property
    def framing(self) -> Framing:
        """Of hot frames, now."""
        ...

    @property
    def max_bytes(self) -> int:
        """Bounds the data of each effect."""
        ...

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def unix_now(self) -> float: ...

    def rooms(self) -> Iterable[str]:
        """Rooms that have members now, as they change: to be looked at, not to be kept."""
        ...

    def has_room(self, room: str) -> bool:
        """Whether it has members now."""
        ...

    def counts(self, lane: str, name: str) -> ServiceCounts:
        """The counts of a service of this name, begun if it has none."""
        ...

    def carry_out(self, service: str, room: str | None, effects: Sequence[Any]) -> None:
        """Publish and send ``effects`` of ``service``, whose data are JSON. ``room``: where those go that name none."""
        ...

    def call_soon(self, callback: Callable[[], object]) -> object:
        """Run it when everybody else has had a turn."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Any:
        """Run it once after a while, unless what is returned is cancelled (``.cancel()``)."""
        ...

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it beside; an ``asyncio.Task``."""
        ...


class HostedService(Protocol):
    """A service that is code of the operator's: it is started, may be asked how it is, and ends."""

    @property
    def status(self) -> ServiceStatus: ...

    def start(self, host: ServiceHost) -> None:
        """It is reachable from now on. Idempotent: one that a reload keeps is started again."""
        ...

    def stop(self, *, at_once: bool) -> None:
        """Another one has taken its place: it begins nothing more by itself. Idempotent.

        ``at_once``: its tenant goes, and what is under way is given up; else that comes to its end.
        """
        ...
