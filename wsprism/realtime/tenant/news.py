"""What a tenant tells its backend of its sessions and rooms: events, in the order in which they happened.

The tenant actor calls; nothing here waits or decides. A session's ``connected`` comes before its ``joined``, its
``disconnected`` after its last ``left``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from wsprism.ports import LostMember, RoomCounts
from wsprism.protocol.backend import SessionFacts
from wsprism.realtime.tenant.about import about_from

if TYPE_CHECKING:
    from wsprism.ports import LostSession, NewsPort
    from wsprism.realtime.messages import ExtPublication
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.awaited import Awaited

__all__ = ["News", "facts_of", "tell_publication"]


def facts_of(session: Session) -> SessionFacts:
    """What a backend is told of a session."""
    metadata = session.principal.metadata
    return SessionFacts(session.user, session.sid, session.generation, metadata if metadata else None)


def tell_publication(news: NewsPort, room: str, publication: ExtPublication) -> None:
    """A client's ext publication as members got it: what it said, or what its message was answered with."""
    message = {"svc": publication.svc, "type": publication.type, "data": msgspec.Raw(publication.data)}
    fields = {"room": room, "message": message, "offset": publication.offset}
    session = publication.sender or publication.author
    assert session is not None, "of what nobody of this node has said it is told nothing"
    news.tell("publication", facts_of(session), fields)


_ABNORMAL: Final = 1006
"""How a connection ends that nobody has closed."""


class News:
    """One per tenant actor. It remembers sessions whose end has not been told: one that was opened since for the same
    user and sid makes that end ``superseded``."""

    def __init__(self, tenant: TenantContext) -> None:
        self._tenant = tenant
        self._untold: dict[tuple[str, str], list[Session]] = {}

    def connected(self, session: Session) -> None:
        """A session has been opened."""
        key = (session.user, session.sid)
        for older in self._untold.get(key, ()):
            older.superseded = True
        self._untold.setdefault(key, []).append(session)
        news = self._tenant.backend
        if news is not None and news.tells("connected"):
            self._tell_connected(news, session)

    def disconnected(self, session: Session) -> None:
        """It is gone: its connection has ended, and it is in no room any more."""
        key = (session.user, session.sid)
        untold = self._untold.get(key)
        if untold is None or session not in untold:
            return  # it was refused, or opened before there was anybody to tell
        untold.remove(session)
        if not untold:
            del self._untold[key]
        news = self._tenant.backend
        if news is None or not news.tells("disconnected"):
            return
        code, reason = session.ended_with
        departed = session.departed
        fields = {
            "code": code,
            "reason": reason,
            "lasted_ms": round((self._tenant.now() - session.opened_at) * 1000),
            "superseded": session.superseded,
        }
        if departed is None:
            left = len(self._tenant.registry.by_sid(session.user))
            news.tell("disconnected", facts_of(session), fields | {"sessions_left": left})
        else:
            known = news.tell_once_known("disconnected", facts_of(session), fields)
            departed.then(lambda left: known({} if left is None else {"sessions_left": left.sessions}))

    def connected_again(self, session: Session) -> None:
        """Its node was taken for dead, or Redis has lost its data, and it has been counted anew."""
        news = self._tenant.backend
        if news is not None and news.tells("connected"):
            self._tell_connected(news, session, again=True)

    def joined(self, session: Session, room: str, counts: RoomCounts) -> None:
        """A session is in a room that it was not in before."""
        self._of_room("joined", session, room, users=counts.users, sessions=counts.sessions)

    def joined_again(self, session: Session, room: str, counts: RoomCounts) -> None:
        """Whoever was ``connected_again`` is still in it."""
        self._of_room("joined", session, room, users=counts.users, sessions=counts.sessions, again=True)

    def left(self, session: Session, room: str, counts: Awaited[RoomCounts | None] | RoomCounts, why: str) -> None:
        """A session is in a room no more; ``why``: asked, disconnected, removed, refreshed."""
        if isinstance(counts, RoomCounts):
            self._of_room("left", session, room, users=counts.users, sessions=counts.sessions, why=why)
            return
        news = self._tenant.backend
        if news is not None and news.tells("left", room):
            known = news.tell_once_known("left", facts_of(session), {"room": room, "why": why})
            counts.then(lambda left: known({} if left is None else left._asdict()))

    def lost(self, what: LostMember | LostSession) -> None:
        """A session of a node that died, which nobody else tells of."""
        news = self._tenant.backend
        event = "left" if isinstance(what, LostMember) else "disconnected"
        if news is None or not news.tells(event, what.room if isinstance(what, LostMember) else None):
            return
        metadata = about_from(what.about).metadata
        facts = SessionFacts(what.key.user, what.key.sid, what.key.generation, metadata if metadata else None)
        fields: dict[str, object]
        if isinstance(what, LostMember):
            fields = {"room": what.room, **what.counts._asdict(), "why": "disconnected"}
        else:
            fields = {
                "code": _ABNORMAL,
                "reason": "node died",
                "lasted_ms": what.lasted_ms,
                "superseded": False,
                "sessions_left": what.sessions_left,
            }
        news.tell(event, facts, fields)

    def room_opened(self, room: str, number: int) -> None:
        """Its first member comes."""
        backend = self._tenant.backend
        streams = None if backend is None else backend.streams
        if streams is not None:
            streams.room_opened(room)
        self._of_room("room_opened", None, room, number=None if streams is None else number)

    def room_closed(self, room: str, number: int) -> None:
        """Its last member has left."""
        backend = self._tenant.backend
        if backend is not None and backend.streams is not None:
            backend.streams.room_closed(room, number)
        self._of_room("room_closed", None, room)

    def _tell_connected(self, news: NewsPort, session: Session, **fields: object) -> None:
        fields |= {"remote_address": session.remote_address, "user_agent": session.user_agent}
        metadata = session.principal.metadata
        news.tell("connected", facts_of(session), fields | {"metadata": metadata if metadata else None})

    def _of_room(self, event: str, session: Session | None, room: str, **fields: object) -> None:
        news = self._tenant.backend
        if news is not None and news.tells(event, room):
            news.tell(event, None if session is None else facts_of(session), {"room": room} | fields)
