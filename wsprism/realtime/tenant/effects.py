"""Effects whose connection has ended: what concerns others is carried out, what concerned the sender is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsprism.effects import Publish, PublishHot, Send, SendHot
from wsprism.ports import Unanswered
from wsprism.protocol.publication_data import NotPortable, data_of
from wsprism.realtime.messages import Answered, ExtPublication, PublishToRoom
from wsprism.realtime.room.publications import ListIds, hot_publication
from wsprism.realtime.tenant.backend_messages import SendForBackend

if TYPE_CHECKING:
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["carry_out_for_others"]


def carry_out_for_others(tenant: Tenant, message: Answered) -> None:
    """Publish and send what the backend answered; nobody is left who could be told of a refusal."""
    if isinstance(message.result, Unanswered):
        return
    origin, rules, ref = message.origin, tenant.tenant.rules, tenant.context.ref
    ids = None if origin.id is None else ListIds(origin.id)
    for effect in message.result:
        room = getattr(effect, "room", None) or origin.room or message.session.active_room
        if isinstance(effect, Publish) and room is not None:
            publication = _publication(effect, origin.svc)
            if publication is not None:
                publication.author = message.session
                publication.id = None if ids is None else ids.next_in(room)
                ref.tell_control(PublishToRoom(room, publication))
        elif isinstance(effect, PublishHot) and room is not None:
            hot = hot_publication(effect.frame, rules, room)
            if hot is not None:
                ref.tell_control(PublishToRoom(room, hot))
        elif isinstance(effect, Send):
            sent = _publication(effect, origin.svc)
            if sent is not None:
                ref.tell_control(SendForBackend(effect.user, (sent,), effect.sid))
        elif isinstance(effect, SendHot):
            hot = hot_publication(effect.frame, rules, None)
            if hot is not None:
                ref.tell_control(SendForBackend(effect.user, (hot,), effect.sid))


def _publication(effect: Publish | Send, svc: str) -> ExtPublication | None:
    """None: not every client could be told what the backend gave."""
    try:
        return ExtPublication(effect.svc or svc, effect.type, data_of(effect.data))
    except NotPortable:
        return None
