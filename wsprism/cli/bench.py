"""``wsprism bench``: a quick look at a running gateway with one room and one publisher."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_access_arguments

if TYPE_CHECKING:
    from wsprism.cli.bench_run import Figures

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Where to, and how much."""
    parser = commands.add_parser(
        "bench",
        help="a quick look: delivery rate and latency of one room on a running gateway",
        description="Clients in one room, one of them publishing at a steady rate. This process's own work is in the"
        " latencies. For measurements beside other servers, in every shape, use load.bench of the source tree.",
    )
    add_access_arguments(parser)
    parser.add_argument("--clients", type=_positive, default=20, metavar="N", help="in the room (default %(default)s)")
    parser.add_argument("--rate", type=_positive, default=50, metavar="N", help="messages per second (default 50)")
    parser.add_argument("--seconds", type=_positive, default=5, metavar="S", help="of publishing (default %(default)s)")
    parser.add_argument("--lane", choices=("ext", "hot"), default="ext", help="default: %(default)s")
    parser.add_argument(
        "--hot-service", type=int, default=1, metavar="ID", help="the service of hot frames (default 1)"
    )
    parser.add_argument("--bytes", type=_positive, default=64, metavar="N", help="of a payload (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """1 when a message was lost or refused. Raises OperatorError when the clients cannot all be let in."""
    import asyncio

    from wsprism.cli.access import find_access
    from wsprism.cli.bench_run import Load, measure

    load = Load(arguments.rate, arguments.seconds, arguments.lane, arguments.hot_service, arguments.bytes)
    accesses = [
        find_access(arguments, user=f"user:bench-{number}", ticket=arguments.ticket)
        for number in range(arguments.clients)
    ]
    figures = asyncio.run(measure(accesses, load))
    print(json.dumps(asdict(figures)) if arguments.json else _table(figures))
    if figures.refusal is not None:
        print(f"wsprism: the gateway refused: {figures.refusal}", file=sys.stderr)
    return exits.OK if figures.lost == 0 and figures.refusal is None else exits.FAILED


def _table(figures: Figures) -> str:
    rows = [
        ("published", f"{figures.published}"),
        ("delivered", f"{figures.delivered} ({figures.delivered_per_s:.0f}/s)"),
        ("lost", f"{figures.lost}"),
        ("p50", f"{figures.p50_ms:.2f} ms"),
        ("p99", f"{figures.p99_ms:.2f} ms"),
        ("max", f"{figures.max_ms:.2f} ms"),
    ]
    return "\n".join(f"{name:<10}{value}" for name, value in rows)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
