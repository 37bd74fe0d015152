"""``wsprism schema``: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import argparse
import json

from wsprism.cli import exits
from wsprism.cli.arguments import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Takes no arguments."""
    commands.add_parser("schema", help="print the JSON Schema of the configuration").set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print it on standard output."""
    from wsprism.settings import json_schema

    print(json.dumps(json_schema(), indent=2))
    return exits.OK
