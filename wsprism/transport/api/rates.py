"""How much each tenant moves per second: its plain counters, looked at once a second and kept for ten.

The message path does nothing for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wsprism.realtime.rules import TenantContext

if TYPE_CHECKING:
    from actors import Cancellable, Scheduler

__all__ = ["INTERVAL_S", "WINDOW_S", "RateMeter", "Rates"]

INTERVAL_S: Final = 1.0
WINDOW_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Means over the window; of a tenant that is younger, over its life so far."""

    messages_in: float = 0.0
    messages_out: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0


_Sample = tuple[float, int, int, int, int]


class RateMeter:
    """``start`` and ``stop`` it; ``of`` may be asked at any time."""

    def __init__(self, scheduler: Scheduler, tenants: Callable[[], Iterable[TenantContext]]) -> None:
        self._scheduler = scheduler
        self._tenants = tenants
        self._samples: dict[TenantContext, deque[_Sample]] = {}
        self._timer: Cancellable | None = None

    def start(self) -> None:
        """Look now, and every second."""
        self._look()

    def stop(self) -> None:
        """Look no more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def of(self, tenant: TenantContext) -> Rates:
        """The tenant's rates now."""
        samples = self._samples.get(tenant)
        if not samples:
            return Rates()
        oldest, now = samples[0], self._sample(tenant)
        seconds = now[0] - oldest[0]
        if seconds <= 0:
            return Rates()
        return Rates(*(round((after - before) / seconds, 3) for before, after in zip(oldest[1:], now[1:], strict=True)))

    def _look(self) -> None:
        samples = {}
        for tenant in self._tenants():
            kept = samples[tenant] = self._samples.get(tenant) or deque(maxlen=int(WINDOW_S / INTERVAL_S))
            kept.append(self._sample(tenant))
        self._samples = samples
        self._timer = self._scheduler.call_later(INTERVAL_S, self._look)

    def _sample(self, tenant: TenantContext) -> _Sample:
        counters = tenant.counters
        return (
            self._scheduler.now(),
            counters.messages_in_ext + counters.messages_in_hot,
            sum(counters.lanes.sent),
            counters.bytes_in_ext + counters.bytes_in_hot,
            sum(counters.lanes.sent_bytes),
        )
