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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises OperatorError when the gateway cannot start."""
    import asyncio

    from wsprism.app import refuse_unavailable
    from wsprism.logs import configure_logging
    from wsprism.run import serve
    from wsprism.settings import load_settings

    settings = load_settings(arguments.config)
    refuse_unavailable(settings)
    as_json = configure_logging(settings.logging.format, settings.logging.level, settings.logging.levels)
    running = serve(settings, announce=_say if as_json else None)
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
