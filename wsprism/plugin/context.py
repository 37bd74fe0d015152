"""What a handler is told besides its message: who sent it, where, and the state of that room."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

__all__ = ["Context", "Home"]

Log = logging.Logger | logging.LoggerAdapter[Any]


class Home(Protocol):
    """Where a service lives: what all of its contexts share."""

    @property
    def tenant(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def log(self) -> Log: ...
    def now_ms(self) -> int: ...
    def state_of(self, room: str | None) -> Any: ...


class Context(msgspec.Struct, eq=False):
    """One call of a handler. ``user`` and ``sid`` are the sender's, or whose who came or went; None in a tick.

    ``room`` is the room that the message names, else the sender's active one, else None. A client may name any room:
    who is in one, a service knows by ``joined`` and ``left``. ``type`` and ``seq`` are the message's.
    """

    _home: Home
    room: str | None
    user: str | None = None
    sid: str | None = None
    type: str | None = None
    seq: int | None = None

    def __repr__(self) -> str:
        return (
            f"Context(room={self.room!r}, user={self.user!r}, sid={self.sid!r}, type={self.type!r}, seq={self.seq!r})"
        )

    @property
    def tenant(self) -> str:
        """The tenant's id."""
        return self._home.tenant

    @property
    def state(self) -> Any:
        """The room's one state object, made at its first use and gone with the room.

        Messages of those who are in no room share one. A room that nobody is in keeps none: it is new each time. None
        without ``Service(state=...)``.
        """
        return self._home.state_of(self.room)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the configuration."""
        return self._home.options

    @property
    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return self._home.now_ms()

    @property
    def log(self) -> Log:
        """Lines in the gateway's log, with tenant and service in them."""
        return self._home.log
