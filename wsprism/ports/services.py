"""The services that messages reach."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from wsprism.protocol.envelope import Envelope
from wsprism.protocol.hot import HotFrame

__all__ = ["ExtService", "FilteringService", "HotService", "HotVerdict", "ServiceContext"]


class ServiceContext(Protocol):
    """What a service may know of the message's sender."""

    @property
    def tenant(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def sid(self) -> str: ...
    @property
    def generation(self) -> int:
        """Grows with every session of the tenant."""
        ...

    @property
    def active_room(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the ticket, or whoever judged it, said about the user beside who it is; never told to clients."""
        ...

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        """The message's data as ``type``; a ``DataFault`` value when it does not fit."""
        ...


class ExtService(Protocol):
    """A service of the ext lane: one message in, effects out, without waiting."""

    @property
    def types(self) -> frozenset[str] | None:
        """The message types it answers; None: any."""
        ...

    def handle(self, context: ServiceContext, envelope: Envelope) -> object:
        """What is to happen: one of ``wsprism.effects``, or None."""
        ...


class HotService(Protocol):
    """A service of the hot lane: says to whom a frame of the active room goes."""

    @property
    def include_sender(self) -> bool:
        """Whether the frame goes out with its sender's user id."""
        ...

    @property
    def echo(self) -> bool:
        """Whether the sender gets its own frame too."""
        ...

    @property
    def to_backend(self) -> bool:
        """Whether the frame goes to the backend's stream, and to no member."""
        ...

    @property
    def filters(self) -> bool:
        """Whether it is a ``FilteringService``, which looks at every frame."""
        ...

    @property
    def deliver(self) -> bool:
        """Whether frames go to members at all."""
        ...


class HotVerdict(Enum):
    """What a service says of a frame, if it does not rewrite it."""

    PASS = "pass"
    DROP = "drop"
    """Nobody gets it, and it is not acknowledged."""
    FAILED = "failed"
    """Dropped: there is no verdict that can be used."""
    SUSPENDED = "suspended"
    """Dropped: its service keeps failing, and was not asked."""


class FilteringService(HotService, Protocol):
    """A hot service that looks at every frame before it goes anywhere. It never raises."""

    def filter(self, context: ServiceContext, room: str | None, frame: HotFrame) -> bytes | HotVerdict:
        """Pass it, drop it, or the whole frame that goes out instead. ``room``: where it goes; ``frame`` as it came."""
        ...
