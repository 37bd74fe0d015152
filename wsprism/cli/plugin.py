"""``wsprism plugin new`` and ``wsprism plugin run``: for whoever writes a service."""

from __future__ import annotations

import argparse

from wsprism.cli.arguments import Commands, complete_files
from wsprism.cli.plugin_wasm import add_limits, run_module

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Two commands below one."""
    parser = commands.add_parser("plugin", help="begin a service of your own, or try one without a gateway")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new",
        help="write a service in Python and its test",
        description="Write NAME.py, a service to begin with, and test_NAME.py. What is there already is left alone.",
    )
    new.add_argument("name", metavar="NAME", help="a name that Python can import")
    new.add_argument("--directory", default=".", metavar="DIR", help="where to (default: here)")
    new.set_defaults(run=_new)
    run = actions.add_parser(
        "run",
        help="feed a service messages, and see its effects",
        description="One message a line on standard input, as JSON: type, and what else there is of tenant, session"
        " ({user, sid, generation}), room, seq, data and now_ms. One line of JSON out for each: its effects, or a"
        " fault. Exit code 1: there is no service.",
    )
    complete_files(run.add_argument("file", metavar="FILE", help="the service: in Python, or a module (.wasm)"))
    run.add_argument("--options", default="{}", metavar="JSON", help="what the service is told (default: %(default)s)")
    add_limits(run)
    run.set_defaults(run=_run)


def _new(arguments: argparse.Namespace) -> int:
    from wsprism.cli.plugin_new import write_service

    return write_service(arguments.name, arguments.directory)


def _run(arguments: argparse.Namespace) -> int:
    from wsprism.cli.plugin_run import read_options, run_python

    if arguments.file.endswith(".wasm"):
        return run_module(arguments, read_options(arguments.options))
    return run_python(arguments.file, arguments.options)
