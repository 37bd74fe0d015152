"""Answers of the internal API that are about a process, put together for all workers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final

__all__ = ["MERGED"]

_SUMMED: Final = ("streams", "in_flight", "waiting", "events_waiting", "events_missed")
_WORST_FIRST: Final = ("open", "probing")


def _info(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """That of the one that has been there for the longest; their connections add up."""
    oldest = max(answers, key=lambda one: one["uptime_s"])
    return oldest | {
        "connections": sum(one["connections"] for one in answers),
        "draining": all(one["draining"] for one in answers),
    }


def _stats(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rates, memory and CPU add up; of lags the worst is told."""
    columns = {
        name: _column([one["points"][name] for one in answers], worst=name == "loop_lag_s")
        for name in answers[0]["points"]
    }
    backends: dict[str, dict[str, Any]] = {}
    for one in (state for answer in answers for state in answer["backends"]):
        known = backends.get(one["tenant"])
        backends[one["tenant"]] = one if known is None else _backend(known, one)
    return answers[0] | {"points": columns, "backends": list(backends.values())}


def _column(values: Sequence[Sequence[float]], *, worst: bool) -> list[float]:
    """The newest of each stand together; a worker that is younger has none before."""
    rows = zip_longest(*(reversed(one) for one in values), fillvalue=0.0)
    return [round(max(row) if worst else sum(row), 6) for row in rows][::-1]


def _backend(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    breakers = dict(one["breakers"])
    for address, state in other["breakers"].items():
        breakers[address] = min(breakers.get(address, state), state, key=_badness)
    return (
        one
        | {name: one[name] + other[name] for name in _SUMMED}
        | {"breakers": breakers, "last_failure": one["last_failure"] or other["last_failure"]}
    )


def _badness(state: str) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)


MERGED: Final = {"/v1/info": _info, "/v1/stats": _stats}
"""By path; each takes the answers of all workers."""
