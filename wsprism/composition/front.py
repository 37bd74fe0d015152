"""The internal listener of several workers, made of the settings that their parent has."""

from __future__ import annotations

import time

from wsprism.realtime.counters import GatewayCounters
from wsprism.settings import Settings
from wsprism.transport.front import Front, WorkersSeen
from wsprism.transport.http.gate import HttpLimits
from wsprism.transport.http.refusals import Refusals

__all__ = ["build_front"]


def build_front(settings: Settings, seen: WorkersSeen) -> Front:
    """Not started yet."""
    limits = settings.gateway.limits
    refusals = Refusals(GatewayCounters(), time.monotonic)
    return Front(
        seen,
        HttpLimits(limits.handshake_timeout_ms / 1000, limits.max_half_open, limits.max_header_bytes),
        refusals,
    )
