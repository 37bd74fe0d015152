"""The command line: ``start``, ``check``, ``schema``. Exit codes: 0 done, 1 failed, 2 wrong configuration or usage."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from wsprism import __version__
from wsprism.app import refuse_unavailable
from wsprism.errors import OperatorError
from wsprism.logs import configure_logging
from wsprism.run import serve
from wsprism.settings import Settings, SettingsError, json_schema, load_settings

__all__ = ["main"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's own) and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None and arguments.config is None:
        parser.print_help()
        return EXIT_OK
    try:
        match arguments.command:
            case "schema":
                print(json.dumps(json_schema(), indent=2))
                return EXIT_OK
            case "check":
                settings = _load(arguments.config)
                print(f"{arguments.config}: ok ({len(settings.tenants)} tenants)")
                return EXIT_OK
            case _:
                return _start(_load(arguments.config))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except OperatorError as error:
        print(f"wsprism: {error}", file=sys.stderr)
        return EXIT_FAILED


def _load(path: str) -> Settings:
    settings = load_settings(path)
    refuse_unavailable(settings)
    return settings


def _start(settings: Settings) -> int:
    as_json = configure_logging(settings.logging.format, settings.logging.level, settings.logging.levels)
    running = serve(settings, announce=_say if as_json else None)
    try:
        import uvloop
    except ImportError:
        asyncio.run(running)
    else:
        uvloop.run(running)
    return EXIT_OK


def _say(line: str) -> None:
    """To whoever started it: logs in JSON are for machines. A terminal that lacks a character shows another one."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsprism", description="wsPrism: a self-hosted realtime gateway for many tenants."
    )
    parser.add_argument("--version", action="version", version=f"wsprism {__version__}")
    parser.add_argument("--config", metavar="FILE", help="start the gateway on this configuration")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    start = commands.add_parser("start", help="run the gateway until SIGTERM or SIGINT")
    start.add_argument("--config", metavar="FILE", required=True)
    check = commands.add_parser("check", help="validate a configuration without starting")
    check.add_argument("--config", metavar="FILE", required=True)
    commands.add_parser("schema", help="print the JSON Schema of the configuration")
    return parser
