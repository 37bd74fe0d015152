"""Runs one gateway as a process: signals, what is said at the start, and the order of its end. Called by the CLI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
from collections.abc import Callable

from actors import LoopScheduler
from wsprism import __version__, build_kind
from wsprism.composition.advice import log_advice
from wsprism.composition.app import GatewayProcess
from wsprism.composition.service_code import ServiceCode
from wsprism.process.hangups import Hangups
from wsprism.process.open_files import raise_open_files
from wsprism.process.settling import settle_interpreter
from wsprism.process.systemd import ServiceManager
from wsprism.process.watch import FileWatch
from wsprism.settings import LoggingSettings, Settings, SettingsError, code_files, named_files

__all__ = ["serve"]

_log = logging.getLogger("wsprism.gateway")


async def serve(
    settings: Settings,
    *,
    file: str | None = None,
    watch: bool = False,
    announce: Callable[[str], None] | None = None,
    configure_logging: Callable[[LoggingSettings], object] = lambda _: None,
    hangups: Hangups | None = None,
    code: ServiceCode | None = None,
) -> None:
    """Run a gateway until SIGTERM or SIGINT has drained it; a second signal ends the wait. SIGHUP reloads ``file``, and
    so does a change of it, or of a file that it names, with ``watch``.

    ``announce`` is told in plain words, besides the log, what was started; ``hangups`` came before and count as one;
    ``code`` is what the check of the settings has loaded.
    Raises OperatorError when it cannot start.
    """
    loop = asyncio.get_running_loop()
    process = GatewayProcess(settings, file=file, configure_logging=configure_logging, code=code)
    watched = FileWatch(lambda: _watched_files(process)) if watch else None
    with contextlib.closing(ServiceManager(os.environ, LoopScheduler(loop))) as manager:
        _drain_on_signals(process, loop)
        await process.start()
        reloads = _Reloads(process, manager)
        loop.add_signal_handler(signal.SIGHUP, reloads.start)
        if hangups is not None and hangups.came:
            reloads.start()
        watching = None if watched is None else loop.create_task(watched.run(reloads.start))
        _announce(settings, process, announce)
        raise_open_files(settings)
        manager.ready(_status(process))
        settle_interpreter()
        await process.drain_begun.wait()
        manager.stopping(process.ends_within_s)
        await process.drain()
        if watching is not None:
            watching.cancel()
    _log.info("stopped")


def _drain_on_signals(process: GatewayProcess, loop: asyncio.AbstractEventLoop) -> None:
    """The first SIGTERM or SIGINT drains, also when the API has begun to; the second ends that."""
    signalled = False

    def on_signal() -> None:
        nonlocal signalled
        if signalled:
            process.end_drain()
        signalled = True
        process.begin_drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


class _Reloads:
    """Reloads that nobody waits for; what becomes of them is in the log, and the service manager is told."""

    def __init__(self, process: GatewayProcess, manager: ServiceManager) -> None:
        self._process = process
        self._manager = manager
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin one; it waits for those before it. A gateway that goes away takes nothing new."""
        if self._process.draining():
            return
        task = asyncio.ensure_future(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        self._manager.reloading()
        with contextlib.suppress(SettingsError):
            await self._process.reload()
        self._manager.ready(_status(self._process))


def _watched_files(process: GatewayProcess) -> set[str]:
    named = {file for _, file in (*named_files(process.settings), *code_files(process.settings))}
    return named if process.file is None else named | {process.file}


def _status(process: GatewayProcess) -> str:
    return f"serving {len(process.settings.tenants)} tenants, configuration {process.counters.config_hash}"


def _announce(settings: Settings, process: GatewayProcess, announce: Callable[[str], None] | None) -> None:
    listen, internal = process.address, process.internal_address
    lines = [f"🚀 wsPrism Gateway active at {listen}"]
    lines.append(f"wsPrism {__version__} ({build_kind()}), Python {platform.python_version()}")
    if internal is not None:
        lines.append(f"Internal listener at {internal}")
    lines += [f'Loaded configuration for tenant: "{tenant.id}"' for tenant in settings.tenants]
    for line in lines:
        _log.info(line)
        if announce is not None:
            announce(line)
    log_advice(settings, several=False)
