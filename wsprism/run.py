"""Runs one gateway as a process: signals, what is said at the start, and the order of its end. Called by the CLI."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable

from wsprism.advice import advise
from wsprism.app import GatewayProcess
from wsprism.settings import Settings

__all__ = ["serve"]

_log = logging.getLogger("wsprism.gateway")

_GC_THRESHOLD = 50_000
"""Allocations between two looks of the cyclic collector: the message path makes no cycles, only connections do."""

_SWITCH_INTERVAL_S = 0.0005
"""How long a thread of telemetry may hold up the event loop before it has to let it go on (Python: 5 ms)."""


async def serve(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT has drained it; a second signal ends the wait.

    ``announce`` is told in plain words, besides the log, what was started. Raises OperatorError when it cannot start.
    """
    loop = asyncio.get_running_loop()
    process = GatewayProcess(settings)
    signalled = False

    def on_signal() -> None:
        nonlocal signalled
        if signalled:
            process.end_drain()
        signalled = True
        process.begin_drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await process.start()
    _announce(settings, process, announce)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    await process.drain_begun.wait()
    await process.drain()
    _log.info("stopped")


def _announce(settings: Settings, process: GatewayProcess, announce: Callable[[str], None] | None) -> None:
    listen, internal = process.address, process.internal_address
    lines = [f"🚀 wsPrism Gateway active at {listen}"]
    if internal is not None:
        lines.append(f"Internal listener at {internal}")
    lines += [f'Loaded configuration for tenant: "{tenant.id}"' for tenant in settings.tenants]
    for line in lines:
        _log.info(line)
        if announce is not None:
            announce(line)
    for advice in advise(settings):
        about = {"tenant": advice.tenant} | ({"entry": advice.entry} if advice.entry is not None else {})
        _log.warning(advice.message, extra=about)
