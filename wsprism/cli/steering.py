"""``wsprism reload`` and ``wsprism drain``: a running gateway reads its configuration again, or ends in order."""

from __future__ import annotations

import argparse

from wsprism.cli import exits
from wsprism.cli.arguments import Commands
from wsprism.cli.call import add_call_arguments, tell

__all__ = ["add", "run_drain", "run_reload"]


def add(commands: Commands) -> None:
    """Both want a key for all tenants."""
    reload = commands.add_parser(
        "reload",
        help="let a running gateway read its configuration again",
        description="As SIGHUP does, and says what came of it. Exit code 1: a fault, and the old one stays in force.",
    )
    add_call_arguments(reload, tenant=False)
    reload.set_defaults(run=run_reload)
    drain = commands.add_parser("drain", help="end a running gateway as SIGTERM does")
    add_call_arguments(drain, tenant=False)
    drain.set_defaults(run=run_drain)


def run_reload(arguments: argparse.Namespace) -> int:
    """Says what changed, and what waits for a restart."""
    from wsprism.cli.internal_api import api_of

    answer = api_of(arguments).call("POST", "/v1/reload")
    lines = [f"configuration {answer['result']}", *answer["changed"]]
    lines += [f"needs a restart: {change}" for change in answer["needs_restart"]]
    if arguments.json:
        tell(arguments, answer, "")
    else:
        for line in lines:
            tell(arguments, answer, line)
    return exits.OK


def run_drain(arguments: argparse.Namespace) -> int:
    """Says that it has begun; how long it takes is the gateway's configuration."""
    from wsprism.cli.internal_api import api_of

    answer = api_of(arguments).call("POST", "/v1/drain")
    tell(arguments, answer, "draining")
    return exits.OK
