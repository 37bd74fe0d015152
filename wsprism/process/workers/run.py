"""Runs a parent of workers as a process: signals, the watch of files, what is said at the start. Called by the CLI."""

from __future__ import annotations

import asyncio
import logging
import platform
import signal
from collections.abc import Callable

from wsprism import __version__, build_kind
from wsprism.process.hangups import Hangups
from wsprism.process.watch import FileWatch
from wsprism.process.workers.parent import Parent
from wsprism.settings import Settings, code_files, named_files

__all__ = ["serve_workers"]

_log = logging.getLogger("wsprism.workers")


async def serve_workers(
    settings: Settings,
    workers: int,
    *,
    file: str,
    content: bytes,
    watch: bool,
    announce: Callable[[str], None] | None,
    hangups: Hangups,
) -> int:
    """Run workers until SIGTERM or SIGINT has drained them; a second signal ends the wait. SIGHUP reloads all, SIGUSR2
    replaces them one by one. The exit code. Raises OperatorError when it cannot start.
    """
    loop = asyncio.get_running_loop()

    def started(settings: Settings, parent: Parent) -> None:
        _announce(settings, parent, announce)
        loop.add_signal_handler(signal.SIGHUP, parent.reloads.begin)
        loop.add_signal_handler(signal.SIGUSR2, parent.roll.begin)
        if hangups.came:
            parent.reloads.begin()
        if watch:
            watched = FileWatch(lambda: _watched_files(parent))
            parent.do(watched.run(parent.reloads.begin))

    parent = Parent(settings, workers, file=file, content=content, announce=started)
    loop.add_signal_handler(signal.SIGUSR2, lambda: None)  # there is nobody to replace yet
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, parent.stop)
    return await parent.run()


def _watched_files(parent: Parent) -> set[str]:
    return {parent.file, *(file for _, file in (*named_files(parent.settings), *code_files(parent.settings)))}


def _announce(settings: Settings, parent: Parent, announce: Callable[[str], None] | None) -> None:
    lines = [f"🚀 wsPrism Gateway active at {parent.sockets.address}"]
    lines.append(f"wsPrism {__version__} ({build_kind()}), Python {platform.python_version()}")
    lines.append(f"Workers: {len(parent.numbers)}")
    if parent.front is not None:
        lines.append(f"Internal listener at {parent.front.address}")
    lines += [f'Loaded configuration for tenant: "{tenant.id}"' for tenant in settings.tenants]
    for line in lines:
        _log.info(line)
        if announce is not None:
            announce(line)
