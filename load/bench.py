"""The benchmark's command line: ``python -m load.bench --shapes all --runs 3``.

Starts each server for each run, on a core of its own, drives the shapes from another core, prints tables and writes
files. Ctrl-C and SIGTERM end it with everything that it started, and still print what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import uvloop

from load.bars import judge
from load.machine import describe
from load.measure import Timing
from load.peers import PEERS, Peer
from load.peers.wsprism import WsPrism
from load.plot import render_svg
from load.report import is_disturbed, one_line, render_json, render_markdown, render_terminal
from load.results import Case, Results
from load.servers import ServerFailedError, pin, serve
from load.shapes import SHAPES, Shape, select
from load.special import run_shape
from load.stats import Figures
from load.swarm import ConnectionFailedError

__all__ = ["main"]

_SERVER_CORE, _GENERATOR_CORE = 0, 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m load.bench", description="Open-loop benchmark with peers.")
    parser.add_argument("--shapes", default="all", help="comma-separated names or prefixes, or all (default)")
    parser.add_argument("--servers", default=",".join(PEERS), help="comma-separated; default: %(default)s")
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="interpreter of an environment whose installed gateway is measured, compiled or not (default: this one's)",
    )
    parser.add_argument("--lanes", default="ext,hot", help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case; medians are shown (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the measured window (default 5)")
    parser.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="N",
        help="measure a disturbed run again, at most N times, and keep the least disturbed (default 0)",
    )
    parser.add_argument("--warm-up", type=float, default=1.5, help="seconds before it (default 1.5)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--list", action="store_true", help="name the shapes and end")
    return parser.parse_args(argv)


def _present(names: str) -> tuple[list[Peer], list[str]]:
    """The servers that can run, and a line for each that cannot. Raises ValueError for an unknown one."""
    present, missing = [], []
    for name in names.split(","):
        if name not in PEERS:
            raise ValueError(f"no server {name!r}; there are: {', '.join(PEERS)}")
        lack = PEERS[name].missing()
        if lack is None:
            present.append(PEERS[name])
        else:
            missing.append(f"{name} is missing: install {lack}")
    return present, missing


def _cases(shapes: Sequence[Shape], peers: Sequence[Peer], lanes: str, runs: int) -> Iterator[tuple[Shape, Peer, str]]:
    """Every run: the servers take turns within a shape, so that a drifting machine is fair to all."""
    wanted = lanes.split(",")
    for shape in shapes:
        for _ in range(runs):
            for peer in peers:
                if peer.name in shape.skip:
                    continue
                yield from ((shape, peer, lane) for lane in shape.lanes if lane in wanted and lane in peer.lanes)


def _run_once(shape: Shape, peer: Peer, lane: str, timing: Timing) -> Figures:
    with (
        serve(peer, core=_SERVER_CORE, shape=shape) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        gc.collect()
        gc.disable()
        try:
            return runner.run(run_shape(server, shape, lane, timing))
        finally:
            gc.enable()


def _run_undisturbed(shape: Shape, peer: Peer, lane: str, timing: Timing, again: int) -> Figures:
    """The least disturbed of the runs that were needed, at most ``1 + again``, for one that nobody disturbed."""
    best = _run_once(shape, peer, lane, timing)
    for attempt in range(again):
        if not is_disturbed(best):
            break
        figures = _run_once(shape, peer, lane, timing)
        best = min(best, figures, key=lambda one: one.get("elsewhere_cpu_share", 0.0))
        best["repeated"] = attempt + 1
    return best


def _measure(cases: Sequence[tuple[Shape, Peer, str]], timing: Timing, again: int, results: Results) -> None:
    for place, (shape, peer, lane) in enumerate(cases, 1):
        case = Case(shape.name, peer.name, lane)
        lead = f"[{place}/{len(cases)}] "
        if sys.stderr.isatty():
            print(f"{lead}{case.shape} {case.server} {case.lane} …", end="\r", file=sys.stderr, flush=True)
        outcome = results.outcome(case)
        try:
            figures = _run_undisturbed(shape, peer, lane, timing, again)
        except (ServerFailedError, ConnectionFailedError, OSError) as fault:
            outcome.failures.append(str(fault) or type(fault).__name__)
            print(f"{lead}{case.shape} {case.server} {case.lane}: failed: {fault!s}", file=sys.stderr, flush=True)
        else:
            outcome.runs.append(figures)
            print(lead + one_line(case, figures), file=sys.stderr, flush=True)


def _end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
    raise KeyboardInterrupt


def _about(peers: Sequence[Peer], missing: Sequence[str], timing: Timing, runs: int, again: int) -> dict[str, str]:
    about = describe()
    about |= {peer.name: peer.version() for peer in peers}
    about["method"] = (
        f"server on core {_SERVER_CORE}, open-loop generator on core {_GENERATOR_CORE}; "
        f"{timing.warm_up_s:g} s warm-up, {timing.window_s:g} s window, medians of {runs} runs (least-greatest)"
    )
    if again:
        about["method"] += f"; a run in which others used a core was measured again, at most {again} times"
    if missing:
        about["missing"] = "; ".join(missing)
    return about


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 all judged bars are reached, 1 one is not or a run failed, 2 wrong arguments, 130 interrupted."""
    arguments = _arguments(argv)
    if arguments.list:
        print("\n".join(f"{shape.name:22}{shape.title}" for shape in SHAPES))
        return 0
    if arguments.python is not None:
        PEERS["wsprism"] = WsPrism(arguments.python)
    try:
        shapes = select(arguments.shapes)
        peers, missing = _present(arguments.servers)
    except ValueError as fault:
        print(fault, file=sys.stderr)
        return 2
    for line in missing:
        print(line, file=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    pin(_GENERATOR_CORE)
    timing = Timing(arguments.warm_up, arguments.seconds)
    results = Results()
    interrupted = True
    with contextlib.suppress(KeyboardInterrupt):
        _measure(list(_cases(shapes, peers, arguments.lanes, arguments.runs)), timing, arguments.again, results)
        interrupted = False
    verdicts = judge(results)
    about = _about(peers, missing, timing, arguments.runs, arguments.again)
    print(render_terminal(results, verdicts))
    for path, text in (
        (arguments.json, render_json(results, verdicts, about)),
        (arguments.markdown, render_markdown(results, verdicts, about)),
        (arguments.plot, render_svg(results)),
    ):
        if path is not None:
            path.write_text(text)
    if interrupted:
        return 130
    missed = any(not verdict.passed and not verdict.bar.only_stretch for verdict in verdicts)
    failed = any(outcome.failures for outcome in results.outcomes.values())
    return int(missed or failed)


if __name__ == "__main__":
    sys.exit(main())
