"""The gateway's figures of the last five minutes: its plain counters, looked at every two seconds.

The message path does nothing for it.
"""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from wsprism.policy.decisions import Reason

if TYPE_CHECKING:
    from actors import Cancellable, Scheduler
    from wsprism.realtime.counters import GatewayCounters
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.vitals import Vitals

__all__ = ["INTERVAL_S", "SPAN_S", "Point", "Trends", "memory_bytes"]

INTERVAL_S: Final = 2.0
SPAN_S: Final = 300.0

_OF_HANDSHAKES: Final = (Reason.AUTH_FAILED, Reason.REVOKED, Reason.TENANT_FULL)
"""Reasons that are counted as refused handshakes too."""

_STATM: Final = Path("/proc/self/statm")


class Figures(Protocol):
    """What is looked at."""

    @property
    def counters(self) -> GatewayCounters: ...
    @property
    def vitals(self) -> Vitals: ...

    def tenants(self) -> Iterable[TenantContext]: ...
    def connections(self) -> int: ...


class Point(NamedTuple):
    """Two seconds: ``*_per_s`` are means of them, ``cpu`` is in cores, ``loop_lag_s`` the mean lateness of a timer."""

    connections: float
    messages_in_per_s: float
    deliveries_out_per_s: float
    drops_per_s: float
    refusals_per_s: float
    loop_lag_s: float
    memory_bytes: float
    cpu: float


class _Sample(NamedTuple):
    at_s: float
    messages_in: int
    deliveries_out: int
    drops: int
    refusals: int
    late_s: float
    timers: int
    cpu_s: float


class Trends:
    """``start`` and ``stop`` it. ``points`` are the oldest first."""

    def __init__(
        self,
        scheduler: Scheduler,
        gateway: Figures,
        *,
        cpu_s: Callable[[], float] = time.process_time,
        memory: Callable[[], int] | None = None,
    ) -> None:
        self.points: deque[Point] = deque(maxlen=int(SPAN_S / INTERVAL_S))
        self._scheduler = scheduler
        self._gateway = gateway
        self._cpu_s = cpu_s
        self._memory = memory or memory_bytes
        self._last: _Sample | None = None
        self._timer: Cancellable | None = None

    def start(self) -> None:
        """Look now, and every two seconds."""
        self._look()

    def stop(self) -> None:
        """Look no more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        before, now = self._last, self._sample()
        self._last = now
        seconds = 0.0 if before is None else now.at_s - before.at_s
        if before is None or seconds <= 0:
            rates = [0.0] * 4
            lag_s = cpu = 0.0
        else:
            rates = [round((after - was) / seconds, 3) for was, after in zip(before[1:5], now[1:5], strict=True)]
            timers = now.timers - before.timers
            lag_s = round((now.late_s - before.late_s) / timers, 6) if timers else 0.0
            cpu = round((now.cpu_s - before.cpu_s) / seconds, 3)
        self.points.append(Point._make((self._gateway.connections(), *rates, lag_s, self._memory(), cpu)))
        self._timer = self._scheduler.call_later(INTERVAL_S, self._look)

    def _sample(self) -> _Sample:
        gateway = self._gateway
        messages_in = deliveries_out = drops = 0
        refusals = sum(gateway.counters.handshakes_refused.values())
        for tenant in gateway.tenants():
            counters = tenant.counters
            messages_in += counters.messages_in_ext + counters.messages_in_hot
            deliveries_out += sum(counters.lanes.sent)
            drops += sum(counters.lanes.dropped)
            refusals += sum(count for _, count in counters.decisions.items())
            refusals -= sum(counters.decisions[reason] for reason in _OF_HANDSHAKES)
        lag = gateway.vitals.loop_lag
        return _Sample(
            self._scheduler.now(), messages_in, deliveries_out, drops, refusals,
            lag.sum_s, sum(lag.counts), self._cpu_s(),
        )  # fmt: skip


def memory_bytes() -> int:
    """Resident memory; where the system does not tell it, the most that there has been."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
