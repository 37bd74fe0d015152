"""From the arguments to the command that they name, and from what it raises to an exit code and a line on stderr."""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
from collections.abc import Sequence

from wsprism import __version__, build_kind
from wsprism.cli import (
    backend,
    bench,
    check,
    completion,
    connect,
    exits,
    health,
    listing,
    nodes,
    plugin,
    publish,
    removal,
    schema,
    start,
    steering,
    ticket,
    top,
)
from wsprism.cli.arguments import complete_files
from wsprism.errors import OperatorError
from wsprism.process.standard_streams import fill_standard_streams, let_go

__all__ = ["build_parser", "main"]

_COMMANDS = (
    start, check, schema, ticket, connect, top, publish, listing, nodes, removal, steering, backend, plugin, health,
    bench, completion,
)  # fmt: skip

_OUTPUT_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_OWN_OPTIONS = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's own) and return its exit code."""
    fill_standard_streams()
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
        return code if _is_written() else exits.FAILED
    except OperatorError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        let_go(sys.stdout)  # whoever read the output has seen enough
        return exits.FAILED
    except OSError as error:
        if error.errno not in _OUTPUT_IS_FULL:
            raise
        _is_written()
        return exits.FAILED


def _is_written() -> bool:
    """Whether the output is where it belongs; what is not is let go, or the interpreter's end would fail on it."""
    written = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            let_go(stream)
            written = stream is sys.stderr
        except OSError as error:
            let_go(stream)
            if stream is sys.stdout:
                written = False
                with contextlib.suppress(OSError):
                    print(f"wsprism: the output cannot be written: {error.strerror}", file=sys.stderr)
    return written


def _explain(error: OperatorError) -> int:
    from wsprism.config_file import SettingsError

    is_about_settings = isinstance(error, SettingsError)
    with contextlib.suppress(OSError):  # nobody reads it: the exit code is what is left to say
        print(error if is_about_settings else f"wsprism: {error}", file=sys.stderr)
    _is_written()
    if is_about_settings:
        return exits.USAGE
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
