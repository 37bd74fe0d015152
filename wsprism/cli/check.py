"""``wsprism check``: every fault of configurations, and every warning, without starting anything."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config, complete_files

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Files as arguments, or one as ``--config``; ``-`` is standard input."""
    parser = commands.add_parser("check", help="validate configurations without starting")
    add_config(parser, required=False)
    complete_files(parser.add_argument("files", metavar="FILE", nargs="*", help="configurations; - is standard input"))
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Faults and warnings on standard error, one a line; what is good on standard output. The worst file decides."""
    from wsprism.cli.console import open_console

    files = [*([arguments.config] if arguments.config else []), *arguments.files]
    if not files:
        arguments.usage_error("name a FILE, or - for standard input")
    out, err = open_console(), open_console(stderr=True)
    return max([_check(file, out, err) for file in files])


def _check(file: str, out: Console, err: Console) -> int:
    from wsprism.composition.advice import advise
    from wsprism.composition.preflight import read_configuration
    from wsprism.config_file import read_document, render_path
    from wsprism.settings import Fault, SettingsError

    name, content = ("<stdin>", sys.stdin.buffer.read()) if file == "-" else (file, None)
    try:
        settings = read_configuration(name, content)
    except SettingsError as error:
        for fault in error.faults:
            err.print(str(fault), style="red")
        return exits.USAGE
    document = read_document(name, os.environ, content)
    warnings = list(advise(settings))
    for advice in warnings:
        found = f": {advice.entry}" if advice.entry is not None else ""
        path, line = render_path(advice.path), document.line_of(advice.path)
        err.print(str(Fault(name, line, path, f"warning: {advice.message}{found}")), style="yellow")
    counted = [_counted(len(settings.tenants), "tenant"), *([_counted(len(warnings), "warning")] if warnings else [])]
    out.print(f"{name}: ok ({', '.join(counted)})", style="green")
    return exits.OK


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
