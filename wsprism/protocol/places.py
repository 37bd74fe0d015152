"""Places in a room's order, and what a client may say of them: the data of `room.join` and of `room.history`.

Strict: a wrong type, a number out of range or an unknown field is a fault that names the field. Knows no room.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from wsprism.protocol.envelope import MAX_SEQ

__all__ = [
    "DEFAULT_HISTORY_LIMIT",
    "MAX_EPOCH_LENGTH",
    "MAX_HISTORY_LIMIT",
    "HistoryData",
    "JoinData",
    "Position",
    "StateData",
]

MAX_EPOCH_LENGTH: Final = 64
MAX_HISTORY_LIMIT: Final = 500
DEFAULT_HISTORY_LIMIT: Final = 100

if TYPE_CHECKING:
    _Epoch = str
    _Offset = int
    _Limit = int
else:
    _Epoch = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EPOCH_LENGTH)]
    _Offset = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
    _Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_HISTORY_LIMIT)]


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a room's order: everything of ``epoch`` up to ``offset`` has been seen."""

    epoch: _Epoch
    offset: _Offset


if TYPE_CHECKING:
    _Since = Position | None
else:
    _Since = Position  # an absent field is left out, not null


class JoinData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of `room.join`. ``since``: what the client has seen of the room.

    ``presence``: it wants to be told who is there and who comes and goes. ``state`` is its own word of itself there.
    """

    since: _Since = None
    presence: bool = False
    state: Any = msgspec.UNSET


class StateData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of `room.state`: the client's own word of itself in a room, any JSON."""

    state: Any


class HistoryData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of `room.history`: up to ``limit`` publications behind ``since``, or before it with ``reverse``."""

    since: _Since = None
    limit: _Limit = DEFAULT_HISTORY_LIMIT
    reverse: bool = False
