"""The front of a room's line while its fan-out is being made: what everybody gets, and who does not get all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qos.native import mypyc_attr
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.room.attendance import NO_MEMBER
from wsprism.realtime.room.fan_out import Apart
from wsprism.realtime.room.remote import RemoteSender

if TYPE_CHECKING:
    from wsprism.realtime.messages import Exclusion
    from wsprism.realtime.room.actor import Room
    from wsprism.realtime.room.line import Publication
    from wsprism.realtime.session import Session

__all__ = ["TO_THE_END", "Turn"]

TO_THE_END: Final = 1 << 62


@mypyc_attr(free_list_len=1)
class Turn:
    """``publications`` and nothing else; with joins, leaves and questions among them it is a ``MixedTurn``.

    ``apart``: who does not get exactly all of it. ``dropped``: places whose publication is not to be heard.
    Of its publications ``look`` says whether somebody waits to hear of one (``answers``), has gone mute meanwhile
    (``muted``) or does not get one that is in it (``sorts``).
    """

    __slots__ = ("_fed", "_room", "answers", "apart", "dropped", "muted", "publications", "sorts")

    def __init__(self, room: Room, publications: list[Publication]) -> None:
        self._room = room
        self.publications = publications
        self.answers = self.muted = self.sorts = False
        self.apart: dict[Session, Apart] | None = None
        self.dropped: set[int] | None = None
        self._fed = 0

    def look(self) -> None:
        """Look once at all publications."""
        for one in self.publications:
            if one.ack or (type(one) is ExtPublication and one.told is not None):
                self.answers = True
            if one.exclude is not None or not one.echo:
                self.sorts = True
            sender = one.sender
            if sender is not None and sender.muted:
                self.muted = True

    def feed_snapshot(self) -> None:
        """As far as the turn has been made."""
        room = self._room
        fresh = self.publications[self._fed :]
        self._fed = len(self.publications)
        room.snapshot.feed(fresh, room.tenant.rules, room.context.ref)

    def leave_out(self) -> None:
        """Whoever relays does not get what it relayed, and whom the backend excludes not what it is excluded from."""
        excludes = False
        roster = self._room.members.roster
        for at, publication in enumerate(self.publications):
            if publication.exclude is not None:
                excludes = True
            if not publication.echo and publication.sender is not None:
                sender = publication.sender
                if sender in roster or (self.apart is not None and sender in self.apart):
                    self._way(sender).left_out.add(at)
        if excludes:
            self._leave_out_excluded()

    def _leave_out_excluded(self) -> None:
        of_user: dict[str, list[tuple[int, Exclusion]]] = {}
        of_sid: dict[str, list[int]] = {}
        for at, publication in enumerate(self.publications):
            exclude = publication.exclude
            if exclude is not None and exclude.user is not None:
                of_user.setdefault(exclude.user, []).append((at, exclude))
            elif exclude is not None and exclude.sid is not None:
                of_sid.setdefault(exclude.sid, []).append(at)
        for session in self._room.members.and_joining(self.apart or ()):
            places = [at for at, exclude in of_user.get(session.user, ()) if exclude.covers(session)]
            places += of_sid.get(session.sid, ())
            if places:
                self._way(session).left_out.update(places)

    def drop_the_muted(self) -> None:
        """Without what those have said who were put out or ended since: they are mute from that moment."""
        room = self._room.context.ref
        for at, publication in enumerate(self.publications):
            sender = publication.sender
            if sender is None or isinstance(sender, RemoteSender) or not sender.was_put_out_of(room):
                continue
            self.drop_at(at)
            if publication.ack and not sender.ended:
                refusal = sysmsg.error(ErrorCode.NOT_ALLOWED, NO_MEMBER, sender.trace_id, publication.seq)
                sender.outlet.send(refusal)
        self.drop("refused")

    def drop_at(self, at: int) -> None:
        """The publication at this place is not to be heard: ``drop`` takes it out."""
        if self.dropped is None:
            self.dropped = set()
        self.dropped.add(at)

    def drop(self, outcome: str) -> None:
        """Take out what is ``dropped``, of which a trace says ``outcome``; every place in the turn follows."""
        dropped = self.dropped
        if not dropped:
            return
        self._room.samples.end([self.publications[at] for at in dropped], outcome)
        before = 0
        new_place = []
        for at in range(len(self.publications) + 1):
            new_place.append(at - before)
            before += at in dropped
        self.publications = [one for at, one in enumerate(self.publications) if at not in dropped]
        for way in (self.apart or {}).values():
            way.begins_at = new_place[min(way.begins_at, len(new_place) - 1)]
            way.ends_at = new_place[min(way.ends_at, len(new_place) - 1)]
            way.told = [(new_place[at], frame) for at, frame in way.told]
        self.dropped = None

    def _way(self, session: Session) -> Apart:
        if self.apart is None:
            self.apart = {}
        way = self.apart.get(session)
        if way is None:
            begins_at = TO_THE_END if session in self._room.members.replays else 0
            way = self.apart[session] = Apart(begins_at, TO_THE_END)
        return way
