"""The histories of a tenant's rooms, whoever is in them: what the backend asks of them, and when they end.

A publication into a room that nobody is in is kept for whoever comes. Functions and messages of the tenant actor, which
owns the registry; the histories themselves are in its store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsprism.protocol.places import Position
from wsprism.realtime.messages import ExtPublication, HistoryChanged
from wsprism.realtime.room.history import RoomHistory
from wsprism.realtime.room.history_page import page_of
from wsprism.realtime.tail.telling import tell_tails
from wsprism.realtime.tenant.over_nodes import purge_over_nodes, read_over_nodes

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.realtime.messages import Publications
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.tenant.actor import Tenant

__all__ = [
    "HISTORY_HANDLERS",
    "HistoryForBackend",
    "HistoryRefusal",
    "PublishedAt",
    "PurgeForBackend",
    "forget_unruled",
    "purge",
    "read_page",
    "tell_evicted",
    "to_nobody",
]

_NOTHING_KEPT = Position("", 0)


@dataclass(frozen=True, slots=True)
class HistoryForBackend:
    """Backend to tenant: a page of a room's history. The answer is a mapping, or ``HistoryRefusal``.

    ``epoch``: the one that it must have. ``offset``: what comes behind it, or before it with ``reverse``.
    """

    room: str
    epoch: str | None
    offset: int | None
    limit: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class PurgeForBackend:
    """Backend to tenant: forget what a room keeps. The answer is where it goes on, or ``HistoryRefusal``."""

    room: str


@dataclass(frozen=True, slots=True)
class HistoryRefusal:
    """``epoch_changed``: the one that was named is not the room's; else it keeps no history."""

    epoch_changed: bool


@dataclass(frozen=True, slots=True)
class PublishedAt:
    """How many sessions a publication went to, and the offset of its last message where the room gives one."""

    members: int
    offset: int | None


def to_nobody(tenant: TenantContext, room: str, publications: Publications) -> int | None:
    """What is published into a room that nobody is in is kept where it has a history, and heard by its tails.

    The offset of the last; None: no history, or hot frames.
    """
    offset = _keep(tenant, room, publications) if tenant.keeps_history(room) else None
    if tenant.tails:
        tell_tails(tenant.tails, room, publications)
    return offset


def _keep(tenant: TenantContext, room: str, publications: Publications) -> int | None:
    store = tenant.store
    fresh = [one for one in publications if isinstance(one, ExtPublication)]
    if store is None or not fresh:
        return None
    history = RoomHistory(room, tenant, store)
    if not history.in_force():
        return None
    history.append(fresh, members=False)
    return fresh[-1].offset


def read_page(tenant: Tenant, message: HistoryForBackend) -> dict[str, Any] | HistoryRefusal | Deferred:
    """A page of a room's history, for the backend."""
    context = tenant.tenant
    if context.store is None or not context.keeps_history(message.room):
        return HistoryRefusal(epoch_changed=False)
    broker = context.broker_of(message.room)
    if broker is not None:
        return read_over_nodes(tenant, broker, message, HistoryRefusal(epoch_changed=True))
    position = context.store.position(message.room) or _NOTHING_KEPT
    if message.epoch is not None and message.epoch != position.epoch:
        return HistoryRefusal(epoch_changed=True)
    found = context.store.page(message.room, message.offset, message.limit + 1, reverse=message.reverse)
    return page_of(context, position, found, message.limit)


def purge(tenant: Tenant, message: PurgeForBackend) -> Position | HistoryRefusal | Deferred:
    """Forget what is kept; members are told where the room goes on."""
    store = tenant.tenant.store
    if store is None or not tenant.tenant.keeps_history(message.room):
        return HistoryRefusal(epoch_changed=False)
    broker = tenant.tenant.broker_of(message.room)
    if broker is not None:
        return purge_over_nodes(tenant, broker, message)
    position = store.purge(message.room)
    tell_evicted(tenant, message.room)
    return position or _NOTHING_KEPT


def tell_evicted(tenant: Tenant, room: str) -> None:
    """A room's history is no more: its members are told, if there are any."""
    entry = tenant.registry.rooms.get(room)
    if entry is not None:
        entry.ref.tell_control(HistoryChanged())


def forget_unruled(tenant: Tenant) -> None:
    """After a reload: rooms that are to keep nothing any more forget what they kept."""
    store = tenant.tenant.store
    if store is None or not len(store):
        return

    def forget(some: Sequence[str]) -> int:
        for room in some:
            if not tenant.tenant.keeps_history(room):
                store.drop(room)
        return len(some)

    tenant.slices.begin(store.names(), forget)


HISTORY_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    HistoryForBackend: read_page,
    PurgeForBackend: purge,
}
"""By the message's type, for the tenant."""
