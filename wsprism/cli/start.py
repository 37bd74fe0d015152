"""``wsprism start``: run the gateway until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import sys

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config
from wsprism.errors import OperatorError

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """``python -m wsprism --config FILE`` means this command as well."""
    parser = commands.add_parser("start", help="run the gateway until SIGTERM or SIGINT")
    add_config(parser)
    parser.add_argument("--watch", action="store_true", help="reload the configuration when its file changes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises OperatorError when the gateway cannot start and its log is not JSON; else the log has it."""
    from wsprism.process.hangups import hold_hangups

    hangups = hold_hangups()
    import asyncio

    from wsprism.composition.preflight import read_configuration
    from wsprism.composition.service_code import ServiceCode
    from wsprism.process.ending import end_soon
    from wsprism.process.logs import configure_logging, log_what_nobody_caught
    from wsprism.process.run import serve
    from wsprism.process.standard_streams import say, share_a_file
    from wsprism.settings import LoggingSettings

    code = ServiceCode()
    settings = read_configuration(arguments.config, code=code)

    def configure(log: LoggingSettings) -> bool:
        return configure_logging(log.format, log.level, log.levels)

    as_json = configure(settings.logging)
    if as_json:
        log_what_nobody_caught()

    async def running() -> None:
        await serve(
            settings,
            file=arguments.config,
            watch=arguments.watch,
            announce=say if as_json and not share_a_file(sys.stdout, sys.stderr) else None,
            configure_logging=configure,
            hangups=hangups,
            code=code,
        )
        end_soon(asyncio.get_running_loop())

    try:
        import uvloop
    except ImportError:
        run_loop = asyncio.run
    else:
        run_loop = uvloop.run
    try:
        run_loop(running())
    except OperatorError as error:
        if not as_json:
            raise
        logging.getLogger("wsprism.gateway").error(f"cannot start: {error}")
        return exits.FAILED
    return exits.OK
