"""Runs one gateway as a process: signals, what is said at the start, and the order of its end. Called by the CLI."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable

from wsprism.app import GatewayProcess
from wsprism.assembly import build_services
from wsprism.settings import ListenAddress, Settings, TenantSettings

__all__ = ["serve"]

_log = logging.getLogger("wsprism.gateway")

_GC_THRESHOLD = 50_000
"""Allocations between two looks of the cyclic collector: the message path makes no cycles, only connections do."""


async def serve(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT has drained it; a second signal ends the wait.

    ``announce`` is told in plain words, besides the log, what was started. Raises OperatorError when it cannot start.
    """
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    process = GatewayProcess(settings)
    await process.start()
    _announce(settings, process.address, announce)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    await stop.wait()
    draining = asyncio.ensure_future(process.drain())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        draining.cancel()
        await asyncio.wait({draining})
        await process.stop()
    else:
        draining.result()
    _log.info("stopped")


def _announce(settings: Settings, listen: ListenAddress, announce: Callable[[str], None] | None) -> None:
    lines = [f"🚀 wsPrism Gateway active at {listen}"]
    lines += [f'Loaded configuration for tenant: "{tenant.id}"' for tenant in settings.tenants]
    for line in lines:
        _log.info(line)
        if announce is not None:
            announce(line)
    for tenant in settings.tenants:
        if not tenant.auth:
            _log.warning("every ticket is refused: the tenant has no auth", extra={"tenant": tenant.id})
        if any(auth.kind == "dev" for auth in tenant.auth) and not listen.is_loopback:
            _log.warning("dev tickets let anybody in, and the listener is not loopback", extra={"tenant": tenant.id})
        for entry in _unknown_allowlist_entries(tenant):
            _log.warning("an allowlist entry names no service", extra={"tenant": tenant.id, "entry": entry})


def _unknown_allowlist_entries(tenant: TenantSettings) -> list[str]:
    services = build_services(tenant)
    unknown = []
    for entry in tenant.policy.ext_allowlist:
        svc, _, message_type = entry.partition(":")
        service = services.ext.get(svc)
        if svc != "sys" and (service is None or message_type not in service.types | {"*"}):
            unknown.append(entry)
    unknown += [entry for entry in tenant.policy.hot_allowlist if int(entry.partition(":")[0]) not in services.hot]
    return unknown
