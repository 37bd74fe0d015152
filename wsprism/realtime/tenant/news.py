"""What a tenant tells its backend of its sessions and rooms: events, in the order in which they happened.

The tenant actor calls; nothing here waits or decides. A session's ``connected`` comes before its ``joined``, its
``disconnected`` after its last ``left``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsprism.protocol.backend import SessionFacts

if TYPE_CHECKING:
    from wsprism.ports import NewsPort
    from wsprism.realtime.messages import ExtPublication
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session
    from wsprism.realtime.tenant.registry import RoomEntry

__all__ = ["News", "facts_of", "tell_publication"]


def facts_of(session: Session) -> SessionFacts:
    """What a backend is told of a session."""
    metadata = session.principal.metadata
    return SessionFacts(session.user, session.sid, session.generation, metadata if metadata else None)


def tell_publication(news: NewsPort, room: str, publication: ExtPublication) -> None:
    """A client's ext publication as members got it: what it said, or what its message was answered with."""
    message = {"svc": publication.svc, "type": publication.type, "data": msgspec.Raw(publication.data)}
    fields = {"room": room, "message": message, "offset": publication.offset}
    news.tell("publication", facts_of(publication.sender or publication.author), fields)


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
            fields = {"remote_address": session.remote_address, "user_agent": session.user_agent}
            metadata = session.principal.metadata
            news.tell("connected", facts_of(session), fields | {"metadata": metadata if metadata else None})

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
        registry = self._tenant.registry
        fields = {
            "code": code,
            "reason": reason,
            "lasted_ms": round((self._tenant.now() - session.opened_at) * 1000),
            "superseded": session.superseded,
            "sessions_left": len(registry.by_sid(session.user)),
        }
        news.tell("disconnected", facts_of(session), fields)

    def joined(self, session: Session, room: str, entry: RoomEntry) -> None:
        """A session is in a room that it was not in before."""
        self._of_room("joined", session, room, users=len(entry.users), sessions=len(entry.sessions))

    def left(self, session: Session, room: str, entry: RoomEntry, why: str) -> None:
        """A session is in a room no more; ``why``: asked, disconnected, removed, refreshed."""
        self._of_room("left", session, room, users=len(entry.users), sessions=len(entry.sessions), why=why)

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

    def _of_room(self, event: str, session: Session | None, room: str, **fields: object) -> None:
        news = self._tenant.backend
        if news is not None and news.tells(event, room):
            news.tell(event, None if session is None else facts_of(session), {"room": room} | fields)
