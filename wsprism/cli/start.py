"""``wsprism start``: run the gateway until it is told to stop."""

from __future__ import annotations

import argparse
import sys

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """``python -m wsprism --config FILE`` means this command as well."""
    parser = commands.add_parser("start", help="run the gateway until SIGTERM or SIGINT")
    add_config(parser)
    parser.add_argument("--watch", action="store_true", help="reload the configuration when its file changes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises OperatorError when the gateway cannot start."""
    import asyncio

    from wsprism.process.logs import configure_logging
    from wsprism.process.run import serve
    from wsprism.settings import LoggingSettings, load_settings

    settings = load_settings(arguments.config)

    def configure(logging: LoggingSettings) -> bool:
        return configure_logging(logging.format, logging.level, logging.levels)

    as_json = configure(settings.logging)
    running = serve(
        settings,
        file=arguments.config,
        watch=arguments.watch,
        announce=_say if as_json else None,
        configure_logging=configure,
    )
    try:
        import uvloop
    except ImportError:
        asyncio.run(running)
    else:
        uvloop.run(running)
    return exits.OK


def _say(line: str) -> None:
    """To whoever started it: logs in JSON are for machines. A terminal that lacks a character shows another one."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), flush=True)
