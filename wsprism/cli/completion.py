"""``wsprism completion``: a script that teaches a shell the commands and options."""

from __future__ import annotations

import argparse

from wsprism.cli import exits
from wsprism.cli.arguments import Commands

__all__ = ["add", "run"]

_SHELLS = ("bash", "zsh", "fish")


def add(commands: Commands) -> None:
    """One argument: the shell."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description='Print a completion script. Bash: eval "$(wsprism completion bash)"; docs/cli.md has the others.',
    )
    parser.add_argument("shell", choices=_SHELLS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script on standard output."""
    import shtab

    from wsprism.cli.dispatch import build_parser

    print(shtab.complete(build_parser(), arguments.shell))
    return exits.OK
