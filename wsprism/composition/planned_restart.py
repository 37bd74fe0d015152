"""The histories of all rooms over a planned restart: into the state file at a clean end, out of it at the next start.

Taken out, they are in the file no more: after a crash every room begins a new epoch, which is the truth. Both functions
block for the disk and belong into a thread, while nothing else happens in the tenants.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping

from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.adapters.memory.saved_histories import NotReadable, give_back, saved
from wsprism.adapters.state import Kind, StateFile
from wsprism.policy.history import HistoryBounds
from wsprism.realtime.rules import TenantContext

__all__ = ["give_histories_back", "save_histories"]

_log = logging.getLogger("wsprism.gateway")


def give_histories_back(state: StateFile, tenants: Mapping[str, TenantContext]) -> None:
    """Have rooms go on where they stood. Raises OperatorError when the file cannot be read and written."""
    given_back = unreadable = 0

    def take(tenant_id: str, key: bytes, value: bytes) -> None:
        nonlocal given_back, unreadable
        tenant = tenants.get(tenant_id)
        if tenant is None or not isinstance(tenant.store, MemoryRoomStore):
            return
        try:
            given_back += give_back(
                tenant.store, key, value, lambda room: _bounds_of(tenant, room), tenant.now(), tenant.unix_now()
            )
        except NotReadable as fault:
            unreadable += 1
            if unreadable == 1:
                _log.warning("a room begins anew", extra={"tenant": tenant_id, "why": str(fault)})

    state.take_all(Kind.HISTORY, take)
    if given_back or unreadable:
        _log.info("rooms go on where they stood", extra={"rooms": given_back, "unreadable": unreadable})


def save_histories(state: StateFile, tenants: Iterable[TenantContext], within_s: float) -> None:
    """Keep what rooms remember, those used most recently first, for as long as there is time."""
    stores = [(one, one.store) for one in tenants if isinstance(one.store, MemoryRoomStore)]
    there_are = sum(len(store) for _, store in stores)

    def entries() -> Iterator[tuple[str, bytes, bytes]]:
        for tenant, store in stores:
            for key, value in saved(store, tenant.now(), tenant.unix_now()):
                yield tenant.id, key, value

    kept = state.put_all(Kind.HISTORY, entries(), time.monotonic() + within_s)
    if kept < there_are:
        _log.warning("some rooms will begin anew: no time to keep them", extra={"rooms": there_are - kept})


def _bounds_of(tenant: TenantContext, room: str) -> HistoryBounds | None:
    return tenant.rules.rooms.of(room).history
