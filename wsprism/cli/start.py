"""``wsprism start``: run the gateway until it is told to stop, in one process or in several workers."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config
from wsprism.errors import OperatorError

if TYPE_CHECKING:
    from wsprism.process.hangups import Hangups
    from wsprism.settings import LoggingSettings, Settings

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """``python -m wsprism --config FILE`` means this command as well."""
    parser = commands.add_parser("start", help="run the gateway until SIGTERM or SIGINT")
    add_config(parser)
    parser.add_argument("--watch", action="store_true", help="reload the configuration when its file changes")
    parser.add_argument(
        "--workers", metavar="N", type=_count, help="processes, in place of gateway.workers; 0: one a core"
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 256:
        raise argparse.ArgumentTypeError("must be 0-256")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Raises OperatorError when the gateway cannot start and its log is not JSON; else the log has it."""
    from wsprism.process.hangups import hold_hangups

    hangups = hold_hangups()
    if "WSPRISM_WORKER" in os.environ:
        return _run_worker(arguments)
    from wsprism.settings import load_settings

    content = _content(arguments.config)
    settings = load_settings(arguments.config, content=content)
    workers = _workers(settings, arguments.workers)
    if workers > 1 and content is not None:
        return _run_workers(arguments, settings, content, workers, hangups)
    return _run_one(arguments, settings, content, hangups)


def _run_one(arguments: argparse.Namespace, settings: Settings, content: bytes | None, hangups: Hangups) -> int:
    from wsprism.composition.preflight import check_configuration
    from wsprism.composition.service_code import ServiceCode
    from wsprism.process.run import serve

    code = ServiceCode()
    check_configuration(settings, arguments.config, content, code)
    as_json = _configure_logging(settings.logging)
    running = serve(
        settings,
        file=arguments.config,
        watch=arguments.watch,
        announce=_announce(as_json),
        configure_logging=_configure_logging,
        hangups=hangups,
        code=code,
    )
    return _run_loop(running, as_json) or exits.OK


def _run_workers(
    arguments: argparse.Namespace, settings: Settings, content: bytes, workers: int, hangups: Hangups
) -> int:
    from wsprism.process.workers.run import serve_workers

    as_json = _configure_logging(settings.logging)
    running = serve_workers(
        settings,
        workers,
        file=arguments.config,
        content=content,
        watch=arguments.watch,
        announce=_announce(as_json),
        hangups=hangups,
    )
    return _run_loop(running, as_json) or exits.OK


def _run_worker(arguments: argparse.Namespace) -> int:
    from wsprism.composition.preflight import read_configuration
    from wsprism.composition.service_code import ServiceCode
    from wsprism.process.logs import add_to_all_records
    from wsprism.process.workers.invitation import take_invitation
    from wsprism.process.workers.worker import serve_worker

    try:
        invited = take_invitation(os.environ)
    except OSError as error:
        raise OperatorError(f"this process was to be a worker: {error}") from error
    assert invited is not None
    seat, channel, content = invited
    add_to_all_records("worker", seat.number)
    code = ServiceCode()
    settings = read_configuration(arguments.config, content, code=code)
    as_json = _configure_logging(settings.logging)
    running = serve_worker(
        settings, seat, channel, file=arguments.config, configure_logging=_configure_logging, code=code
    )
    return _run_loop(running, as_json) or exits.OK


def _content(file: str) -> bytes | None:
    """Read once, since a file may be a pipe; None: whoever reads it next says why it cannot be."""
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


def _workers(settings: Settings, wanted: int | None) -> int:
    """How many processes. Raises UsageError for more than the configuration can have."""
    from wsprism.settings import fault_of_workers

    workers = settings.gateway.workers if wanted is None else wanted
    fault = fault_of_workers(settings.gateway, workers)
    if fault is not None:
        raise exits.UsageError(f"--workers: {fault}")
    return workers or _cores()


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _configure_logging(log: LoggingSettings) -> bool:
    from wsprism.process.logs import configure_logging, log_what_nobody_caught

    as_json = configure_logging(log.format, log.level, log.levels)
    if as_json:
        log_what_nobody_caught()
    return as_json


def _announce(as_json: bool) -> Callable[[str], None] | None:
    from wsprism.process.standard_streams import say, share_a_file

    return say if as_json and not share_a_file(sys.stdout, sys.stderr) else None


def _run_loop(running: Coroutine[Any, Any, int | None], as_json: bool) -> int | None:
    import asyncio

    from wsprism.process.ending import end_soon

    try:
        import uvloop
    except ImportError:
        run_loop = asyncio.run
    else:
        run_loop = uvloop.run

    async def run_and_end() -> int | None:
        code = await running
        end_soon(asyncio.get_running_loop())
        return code

    try:
        return run_loop(run_and_end())
    except OperatorError as error:
        if not as_json:
            raise
        logging.getLogger("wsprism.gateway").error(f"cannot start: {error}")
        return exits.FAILED
