"""What else is on its way to rooms, and what a message becomes whose effects come later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import msgspec

from wsprism.realtime.messages.publication import ExtPublication, HotPublication

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsprism.effects import Effect
    from wsprism.policy.values import ValueChange, ValueDenial
    from wsprism.ports import Unanswered, Values
    from wsprism.protocol.traces import MessageTrace
    from wsprism.realtime.decision import Decision
    from wsprism.realtime.session import Session

__all__ = [
    "Answered",
    "Exclusion",
    "Origin",
    "PublicationList",
    "Publications",
    "PublishDecided",
    "PublishToRoom",
    "SampledPublication",
    "ValueWork",
    "is_hot",
]


@final
class Origin(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a client's message whose effects come later: as much of its envelope as they need.

    ``in_process``: a service within the gateway answers; its data are checked and encoded. ``id`` is the client's
    name of what is published.
    """

    svc: str
    type: str
    seq: int | None
    flags: int
    room: str | None
    in_process: bool = False
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """To a connection, or to its tenant when it has ended: ``result`` are effects, or why there are none."""

    session: Session
    origin: Origin
    result: list[Effect] | Unanswered


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Who does not get a publication: all sessions of ``user``, those with this ``sid``, or that user's one."""

    user: str | None
    sid: str | None

    def covers(self, session: Session) -> bool:
        """Whether ``session`` is one of them."""
        return self.user in (None, session.user) and self.sid in (None, session.sid)


Publications = tuple[ExtPublication | HotPublication, ...]


@dataclass(frozen=True, slots=True)
class SampledPublication:
    """A publication that is watched on its way; for its room it is one like any other."""

    publication: ExtPublication | HotPublication
    trace: MessageTrace


class ValueWork:
    """To a room over nodes: what a member, ``publication.sender``, does with its values; at its place among what is
    published there.

    With a ``change`` the publication tells it, once it has happened; without one what ``service`` keeps (of ``key``, or
    all) is asked for. ``answered`` is told what is neither an acknowledgement nor that Redis is away.
    """

    __slots__ = ("answered", "change", "key", "publication", "service")

    def __init__(
        self,
        publication: ExtPublication,
        change: ValueChange | None,
        answered: Callable[[ValueDenial | Values], object],
        *,
        service: str = "",
        key: str | None = None,
    ) -> None:
        self.publication = publication
        self.change = change
        self.answered = answered
        self.service = service
        self.key = key


def is_hot(message: object) -> bool:
    """Whether a room may shed it for a newer one: not when its sender waits for an answer."""
    if isinstance(message, SampledPublication):
        message = message.publication
    return isinstance(message, HotPublication) and not message.ack


@dataclass(frozen=True, slots=True)
class PublishToRoom:
    """To a room by name, through its tenant: for whoever holds no reference to it. Nobody hears it in an empty room.

    ``asker`` (default: the sender) is told what became of it: when the room is full, and always with a ``token``.
    """

    room: str
    publication: ExtPublication | HotPublication
    asker: Session | None = None
    seq: int | None = None
    token: Decision | None = None


@dataclass(frozen=True, slots=True)
class PublishDecided:
    """Tenant or room to connection: whether the room has taken it, and its ``offset`` where that is known.

    ``lost``: the room was restarted meanwhile, and nobody knows. ``away``: it could not be ordered, and will not be.
    """

    taken: bool
    seq: int | None
    token: Decision | None
    offset: int | None = None
    lost: bool = False
    away: bool = False


@dataclass(frozen=True, slots=True)
class PublicationList:
    """Tenant to room: all of these, in their order, with nothing in between."""

    publications: Publications
