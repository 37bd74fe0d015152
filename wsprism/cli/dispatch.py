"""From the arguments to the command that they name, and from what it raises to an exit code and a line on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from wsprism import __version__, build_kind
from wsprism.cli import bench, check, completion, connect, exits, health, schema, start, ticket, top
from wsprism.cli.arguments import complete_files
from wsprism.errors import OperatorError

__all__ = ["build_parser", "main"]

_COMMANDS = (start, check, schema, ticket, connect, top, health, bench, completion)

_OWN_OPTIONS = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's own) and return its exit code."""
    parser = build_parser()
    given = sys.argv[1:] if argv is None else list(argv)
    if given and given[0].startswith("-") and given[0] not in _OWN_OPTIONS:
        given.insert(0, "start")
    arguments = parser.parse_args(given)
    if arguments.command is None:
        parser.print_help()
        return exits.OK
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except OperatorError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. The interpreter would flush, and fail, once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED


def _explain(error: OperatorError) -> int:
    from wsprism.config_file import SettingsError

    if isinstance(error, SettingsError):
        print(error, file=sys.stderr)
        return exits.USAGE
    print(f"wsprism: {error}", file=sys.stderr)
    return exits.USAGE if isinstance(error, exits.UsageError) else exits.FAILED


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; a parsed command has its ``run`` in the attribute of that name."""
    parser = argparse.ArgumentParser(
        prog="wsprism",
        description="wsPrism: a self-hosted realtime gateway for many tenants.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"wsprism {__version__} ({build_kind()})")
    complete_files(parser.add_argument("--config", metavar="FILE", help="start the gateway on this configuration"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
