"""What a tenant does for its services besides handing them messages: it tells them who comes to rooms and who goes, and
carries out what they say without having been asked.

All of it is one step of the loop; nothing waits. The tenant actor tells; a service's timers and answers come in here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from wsprism.effects import Publish, PublishHot, Send, SendHot
from wsprism.policy.decisions import Reason
from wsprism.realtime.counters import ServiceCounters
from wsprism.realtime.messages import ExtPublication, HotPublication, PublishToRoom
from wsprism.realtime.room.publications import hot_publication
from wsprism.realtime.tenant.backend_messages import SendForBackend

if TYPE_CHECKING:
    from actors import Scheduler
    from wsprism.protocol.hot import Framing
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session

__all__ = ["TenantServiceHost", "carry_out_for_service", "tell_closed", "tell_joined", "tell_left"]


def tell_joined(tenant: TenantContext, session: Session, room: str) -> None:
    """A session is in a room; it has been told ``sys.joined``, or will be before anything that is said here."""
    for watcher in tenant.rules.services.watchers:
        effects = watcher.joined(room, session.user, session.sid)
        if effects:
            carry_out_for_service(tenant, watcher.name, room, effects)


def tell_left(tenant: TenantContext, session: Session, room: str) -> None:
    """A session is in a room no more."""
    for watcher in tenant.rules.services.watchers:
        effects = watcher.left(room, session.user, session.sid)
        if effects:
            carry_out_for_service(tenant, watcher.name, room, effects)


def tell_closed(tenant: TenantContext, room: str) -> None:
    """Nobody is in the room any more."""
    for watcher in tenant.rules.services.watchers:
        watcher.closed(room)


def carry_out_for_service(tenant: TenantContext, service: str, room: str | None, effects: Sequence[Any]) -> None:
    """Publish and send; whoever says anything else has been told so before. What finds no room is counted."""
    for effect in effects:
        if isinstance(effect, Publish | PublishHot):
            named = effect.room or room
            publication = _publication(tenant, service, effect, named)
            taken = named is None or publication is None or _publish(tenant, named, publication)
        else:
            sent = _publication(tenant, service, effect, None)
            taken = sent is None or tenant.ref.tell(SendForBackend(effect.user, (sent,), effect.sid))
        if not taken:
            tenant.counters.decisions.count(Reason.MAILBOX_FULL)


def _publish(tenant: TenantContext, room: str, publication: ExtPublication | HotPublication) -> bool:
    entry = tenant.registry.rooms.get(room)
    if entry is not None:
        return entry.inbox.publish(publication)
    return tenant.ref.tell(PublishToRoom(room, publication))


def _publication(
    tenant: TenantContext, service: str, effect: Publish | PublishHot | Send | SendHot, room: str | None
) -> ExtPublication | HotPublication | None:
    if isinstance(effect, PublishHot | SendHot):
        return hot_publication(effect.frame, tenant.rules, room)
    data = b"null" if effect.data is None else bytes(effect.data)
    return ExtPublication(effect.svc or service, effect.type, data)


class TenantServiceHost:
    """A ``ports.ServiceHost``."""

    def __init__(self, tenant: TenantContext, scheduler: Scheduler) -> None:
        self._tenant = tenant
        self._scheduler = scheduler
        self.now: Callable[[], float] = tenant.now
        self.unix_now: Callable[[], float] = tenant.unix_now

    @property
    def tenant(self) -> str:
        return self._tenant.id

    @property
    def framing(self) -> Framing:
        return self._tenant.rules.hot_framing

    @property
    def max_bytes(self) -> int:
        return self._tenant.rules.limits.max_backend_bytes

    def rooms(self) -> Iterable[str]:
        return self._tenant.registry.rooms

    def has_room(self, room: str) -> bool:
        return room in self._tenant.registry.rooms

    def counts(self, lane: str, name: str) -> ServiceCounters:
        return self._tenant.counters.services.setdefault((lane, name), ServiceCounters())

    def carry_out(self, service: str, room: str | None, effects: Sequence[Any]) -> None:
        carry_out_for_service(self._tenant, service, room, effects)

    def call_soon(self, callback: Callable[[], object]) -> object:
        return self._scheduler.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Any:
        return self._scheduler.call_later(delay_s, callback)

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._scheduler.create_task(coroutine)
