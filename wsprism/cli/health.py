"""``wsprism health``: whether a gateway is ready, for container health checks and scripts."""

from __future__ import annotations

import argparse
import sys

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """``--config`` or ``--url`` says whom to ask."""
    parser = commands.add_parser(
        "health",
        help="ask a running gateway whether it is ready",
        description="Exit code 0: ready (with --live: alive); 1: not, or not reachable.",
    )
    whom = parser.add_mutually_exclusive_group(required=True)
    add_config(whom, required=False)
    whom.add_argument("--url", help="http://host:port (with a path: exactly that) or unix:/path")
    parser.add_argument("--live", action="store_true", help="ask /healthz of the public listener, ready or not")
    parser.add_argument("--insecure", action="store_true", help="take any TLS certificate")
    parser.add_argument("--timeout-ms", type=int, default=3000, metavar="MS", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Only 0 and 1: container engines give other codes no meaning."""
    from wsprism.cli.target import ask, internal_listener, parse_url, public_listener
    from wsprism.errors import OperatorError

    try:
        if arguments.url is not None:
            target = parse_url(arguments.url, verify=not arguments.insecure)
        else:
            internal = None if arguments.live else internal_listener(arguments.config)
            target = internal or public_listener(arguments.config)
        path = target.path.rstrip("/") or ("/healthz" if arguments.live else "/readyz")
        answer = ask(target, "GET", path, timeout_s=arguments.timeout_ms / 1000)
    except OperatorError as error:
        print(f"wsprism: {error}", file=sys.stderr)
        return exits.FAILED
    told = answer.json()
    status = told.get("status") if isinstance(told, dict) else None
    line = f"{target}{path}: {answer.status}" + (f" {status}" if status else "")
    healthy = answer.status == 200
    print(line, file=sys.stdout if healthy else sys.stderr)
    return exits.OK if healthy else exits.FAILED
