"""What is published into, and asked of, rooms over nodes by others than their members: the backend, mostly.

It goes to the broker whether or not this node has members there; whoever asked is answered when the broker has.
Functions over the tenant actor, for rooms whose ``broker_of`` there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from actors import DEFERRED
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.history import Position
from wsprism.ports import HistoryItem, Unavailable
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.room.history import kept_at
from wsprism.realtime.room.history_page import page_of
from wsprism.realtime.room.outbox import Outbox
from wsprism.realtime.room.remote import frame_to_send, publication_from

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.ports import Broker, Window
    from wsprism.realtime.messages import Publications
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.slices import Asked
    from wsprism.realtime.tenant.actor import Tenant
    from wsprism.realtime.tenant.histories import HistoryForBackend, PurgeForBackend

__all__ = [
    "AWAY",
    "answer_when_ordered",
    "publish_without_members",
    "purge_over_nodes",
    "read_over_nodes",
    "refusal_of",
]

AWAY = Denied(Reason.BROKER_AWAY, ErrorCode.UNAVAILABLE, retry_after_s=1)
_TOO_MUCH = Denied(Reason.MAILBOX_FULL, ErrorCode.RESOURCE_EXHAUSTED, retry_after_s=1)


def refusal_of(why: Unavailable) -> Denied:
    """What whoever asked is told."""
    return AWAY if why is Unavailable.AWAY else _TOO_MUCH


def publish_without_members(tenant: TenantContext, broker: Broker, room: str, publications: Publications) -> None:
    """Publish into a room that this node has no members in."""
    ext = tuple(one for one in publications if isinstance(one, ExtPublication))
    hot = [frame_to_send(one) for one in publications if isinstance(one, HotPublication)]
    if ext:
        outbox = Outbox(room, tenant, broker)
        outbox.add_all(ext)
        outbox.send()
    if hot:
        broker.publish_hot(room, hot)


def answer_when_ordered(
    reply: Asked, value: Callable[[int | None], object], published: Sequence[Publications], also: int = 0
) -> Callable[..., None]:
    """Have ``reply`` answered once all that was ``published`` has its place: with ``value`` of the offset of the last.

    Where one of them could not be ordered the answer is ``AWAY``. ``also``: so often the returned function is called
    besides.
    """
    lasts = [one for one in map(_last_ext, published) if one is not None]
    waiting = len(lasts) + also
    refused = False

    def told(offset: int | None, *, lost: bool = False, away: bool = False) -> None:
        nonlocal waiting, refused
        waiting -= 1
        refused = refused or away or lost
        if not waiting and reply.waiting:
            reply.answer(AWAY if refused else value(offset))

    for last in lasts:
        last.told = told
    return told


def _last_ext(publications: Publications) -> ExtPublication | None:
    return next((one for one in reversed(publications) if isinstance(one, ExtPublication)), None)


def read_over_nodes(tenant: Tenant, broker: Broker, message: HistoryForBackend, refused: Any) -> Deferred:
    """Answer the ask at hand with a page of the room's history, or ``refused`` where its epoch is another."""
    reply, context = tenant.context.reply_to, tenant.tenant

    def done(answer: Window | Unavailable) -> None:
        if reply is None or not reply.waiting:
            return
        if isinstance(answer, Unavailable):
            reply.answer(AWAY)
        elif message.epoch is not None and message.epoch != answer.epoch:
            reply.answer(refused)
        else:
            found = _found(context, message, answer)
            reply.answer(page_of(context, Position(answer.epoch, answer.top), found, message.limit))

    broker.read(message.room, None, context.rules.rooms.of(message.room).history, done)
    return DEFERRED


def _found(context: TenantContext, message: HistoryForBackend, window: Window) -> Sequence[HistoryItem]:
    """What was asked for, and one more."""
    offset = message.offset
    if message.reverse:
        items = [one for one in reversed(window.items) if offset is None or one.offset < offset]
    else:
        items = [one for one in window.items if one.offset > (offset or 0)]
    now = context.now()
    found = []
    for item in items[: message.limit + 1]:
        publication = publication_from(item.payload)
        if publication is not None:
            found.append(HistoryItem(item.offset, now - item.age_s, kept_at(publication, message.room, item.offset)))
    return found


def purge_over_nodes(tenant: Tenant, broker: Broker, message: PurgeForBackend) -> Deferred:
    """Have the room begin anew; its members on every node are told by the broker's batch."""
    reply, context = tenant.context.reply_to, tenant.tenant

    def done(answer: Position | Unavailable) -> None:
        if reply is not None and reply.waiting:
            reply.answer(AWAY if isinstance(answer, Unavailable) else answer)

    broker.purge(message.room, context.rules.rooms.of(message.room).history, done)
    return DEFERRED
