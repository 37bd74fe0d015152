"""The command line: ``python -m load.chaos NAME…``, ``--list``, ``--all``."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from load.chaos.fault import Fault, Outcome, carry_out
from load.chaos.isolation import OF_ISOLATION
from load.chaos.of_nodes import OF_NODES
from load.chaos.of_redis import OF_REDIS
from load.chaos.of_workers import OF_WORKERS
from load.chaos.report import one_line, render_markdown
from load.chaos.world import Manner
from load.processes import ServerFailedError

__all__ = ["FAULTS", "main"]

_SLACK_S = 1.0
_SLACK_BESIDE_OTHERS_S = 15.0

FAULTS = (*OF_REDIS, *OF_NODES, *OF_ISOLATION, *OF_WORKERS)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 every promise was kept, 1 one was not or something did not start, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m load.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, or beginnings of their names")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    parser.add_argument("--all", action="store_true", help="every fault, the long ones included")
    parser.add_argument("--short", action="store_true", help="every fault that is not long")
    parser.add_argument("--seed", type=int, default=0, help="of what clients do by chance (a new one)")
    parser.add_argument("--server", default="redis-server", metavar="PROGRAM", help="what is broken: valkey-server")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="so many faults side by side")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of outcomes")
    arguments = parser.parse_args(argv)
    if arguments.list:
        print("\n".join(f"{one.name:20}{one.shows}{' (long)' if one.long else ''}" for one in FAULTS))
        return 0
    chosen = _chosen(arguments)
    if chosen is None:
        parser.print_usage(sys.stderr)
        print("name faults, or say --all or --short; --list says what there is", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(_run(chosen, arguments.seed, arguments.server, max(1, arguments.at_once)))
    if arguments.markdown is not None:
        arguments.markdown.write_text(render_markdown(outcomes))
    kept = len(outcomes) == len(chosen) and all(one.kept for one in outcomes)
    print("every promise was kept" if kept else "A PROMISE WAS BROKEN")
    return int(not kept)


def _chosen(arguments: argparse.Namespace) -> list[Fault] | None:
    if arguments.all or arguments.short:
        return [one for one in FAULTS if arguments.all or not one.long]
    for name in arguments.names:
        if not any(one.name.startswith(name) for one in FAULTS):
            print(f"there is no fault {name!r}", file=sys.stderr)
            return None
    return [one for one in FAULTS if any(one.name.startswith(name) for name in arguments.names)] or None


async def _run(faults: Sequence[Fault], seed: int, server: str, at_once: int) -> list[Outcome]:
    places = asyncio.Semaphore(at_once)
    manner = Manner(server, slack_s=_SLACK_S if at_once == 1 else _SLACK_BESIDE_OTHERS_S)

    async def in_turn(fault: Fault) -> Outcome | None:
        async with places:
            try:
                outcome = await carry_out(fault, seed or random.randrange(1, 10**9), manner)
            except (ServerFailedError, FileNotFoundError) as error:
                print(f"{fault.name:20}did not run: {error}", flush=True)
                return None
        print("\n    ".join((one_line(outcome), *outcome.broken)), flush=True)
        return outcome

    return [one for one in await asyncio.gather(*map(in_turn, faults)) if one is not None]


if __name__ == "__main__":
    sys.exit(main())
