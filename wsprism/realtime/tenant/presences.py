"""The presence of a tenant's rooms: kept by name beside their actors, and one tick for all that is to be told of it.

A room asks to be told ``PresenceDue`` at a moment of the shared tick; for a room that has ended only what lingers is
looked after. Messages and functions of the tenant actor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsprism.realtime.messages import InfoChanged, PresenceDue, PresenceWanted
from wsprism.realtime.tenant.present_over_nodes import list_over_nodes

if TYPE_CHECKING:
    from actors import Deferred
    from wsprism.policy.present import Listing
    from wsprism.realtime.tenant.actor import Tenant

__all__ = ["PRESENCE_HANDLERS", "PresenceForBackend", "tell_rooms_of_rules"]


@dataclass(frozen=True, slots=True)
class PresenceForBackend:
    """Backend to tenant: who is in this room. The answer is a ``Listing``; None: it has no presence.

    Over nodes it is everybody on all of them; ``Denied`` while that cannot be known.
    """

    room: str


@dataclass(frozen=True, slots=True)
class _Tick:
    """To itself: ``at`` has come."""

    at: float


def _want(tenant: Tenant, message: PresenceWanted) -> None:
    _tell_at(tenant, message.room, message.at)


def _show_info(tenant: Tenant, message: InfoChanged) -> None:
    session, registry = message.session, tenant.registry

    def tell(some: Sequence[str]) -> int:
        for room in some:
            entry = registry.rooms.get(room)
            if entry is not None and session in entry.sessions:
                entry.ref.tell_control(message)
        return len(some)

    tenant.slices.begin(list(session.rooms), tell)


def _tell_at(tenant: Tenant, room: str, at: float) -> None:
    due = tenant.tenant.presences.due
    rooms = due.get(at)
    if rooms is None:
        rooms = due[at] = {}
        tenant.context.call_later(max(0.0, at - tenant.tenant.now()), _Tick(at))
    rooms[room] = None


def _tick(tenant: Tenant, tick: _Tick) -> None:
    rooms = tenant.tenant.presences.due.pop(tick.at, {})
    tenant.slices.begin(list(rooms), lambda some: _tell_due(tenant, some))


def _tell_due(tenant: Tenant, rooms: Sequence[str]) -> int:
    registry = tenant.registry
    for room in rooms:
        entry = registry.rooms.get(room) or registry.emptied.get(room)
        if entry is not None:
            entry.ref.tell_control(PresenceDue())
        else:
            _look_after(tenant, room)
    return len(rooms)


def _look_after(tenant: Tenant, room: str) -> None:
    """The room has ended; so does its presence with the last that lingers."""
    context = tenant.tenant
    presence = context.presences.get(room)
    if presence is None:
        return
    now = context.now()
    presence.asked_for = None
    presence.expire(now)
    due = presence.next_due(now)
    if due is None or context.rules.rooms.of(room).presence is None:
        context.presences.drop(room)
    else:
        _tell_at(tenant, room, due)


def _list(tenant: Tenant, message: PresenceForBackend) -> Listing | Deferred | None:
    context, room = tenant.tenant, message.room
    rules, broker = context.rules.rooms.of(room).presence, context.broker_of(room)
    if rules is None:
        return None
    if broker is not None:
        return list_over_nodes(tenant, broker, room, rules.bounds.max_listed)
    return context.presences.listing(room, rules)


def tell_rooms_of_rules(tenant: Tenant) -> None:
    """After a reload: rooms that have presence now, or had it, look at what they have."""
    context = tenant.tenant
    names = [*context.presences]
    if context.rules.rooms.keeps_presence:
        names += [room for room in tenant.registry.rooms if context.presences.get(room) is None]
    tenant.slices.begin(names, lambda some: _tell_due(tenant, some))


PRESENCE_HANDLERS: dict[type, Callable[[Tenant, Any], object]] = {
    PresenceForBackend: _list,
    PresenceWanted: _want,
    InfoChanged: _show_info,
    _Tick: _tick,
}
"""By the message's type, for the tenant."""
