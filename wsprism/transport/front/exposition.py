"""The metrics of several workers as one text of Prometheus': every series gets the label ``worker``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wsprism.transport.front.seen import WorkerSeen

__all__ = ["merge", "of_workers"]


def merge(texts: Mapping[int, str]) -> str:
    """``texts`` by the worker's number. A metric has its help once, and all its series below it."""
    heads: dict[str, dict[str, str]] = {}
    series: dict[str, list[str]] = {}
    for worker, text in texts.items():
        name = ""
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                _, kind, name, *_ = line.split(" ", 3)
                heads.setdefault(name, {}).setdefault(kind, line)
                series.setdefault(name, [])
            elif line and not line.startswith("#"):
                series.setdefault(name, []).append(_labelled(line, worker))
    lines = (line for name, found in series.items() for line in (*heads.get(name, {}).values(), *found))
    return "".join(f"{line}\n" for line in lines)


def of_workers(workers: Iterable[WorkerSeen]) -> str:
    """What the parent itself knows."""
    seen = list(workers)
    up = [f'wsprism_worker_up{{worker="{one.number}"}} {float(one.internal is not None)}' for one in seen]
    restarts = [f'wsprism_worker_restarts_total{{worker="{one.number}"}} {float(one.restarts)}' for one in seen]
    lines = [
        "# HELP wsprism_worker_up 1: the worker serves",
        "# TYPE wsprism_worker_up gauge",
        *up,
        "# HELP wsprism_worker_restarts_total Times that the worker was started anew after it had ended by itself",
        "# TYPE wsprism_worker_restarts_total counter",
        *restarts,
    ]
    return "".join(f"{line}\n" for line in lines)


def _labelled(line: str, worker: int) -> str:
    name, brace, rest = line.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
