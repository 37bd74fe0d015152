"""Where a connection stands, and where it may go from there."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["NEXT", "State"]


class State(Enum):
    """A connection's life. Transitions: see ``NEXT``."""

    OPENING = auto()
    """The session is registered; the socket is being upgraded."""
    OPEN = auto()
    CLOSING = auto()
    """A Close is on its way; what the client says is no longer heard."""
    CLOSED = auto()


NEXT: Final = {
    State.OPENING: {State.OPEN, State.CLOSING, State.CLOSED},
    State.OPEN: {State.CLOSING, State.CLOSED},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set[State](),
}
