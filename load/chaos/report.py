"""Outcomes in words: a line for who watches, a table for who reads later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from load.chaos.fault import Outcome

__all__ = ["one_line", "render_markdown"]

_TOLD: Final = (
    "acknowledged", "refused", "unknown", "said again", "heard", "joins", "recovered", "not recovered", "gaps",
    "hot heard", "heard in here:1", "degraded", "epochs", "connections lost", "fenced", "reaped", "ghosts for ms",
    "crowd",    "over a limit", "let in", "told later", "ping before, ms", "ping as it dies, ms",
    "ping while it is cleared away, ms", "looks",
)  # fmt: skip


def one_line(outcome: Outcome) -> str:
    """Whether it was kept, and the account."""
    told = ", ".join(f"{name} {outcome.counts[name]}" for name in _TOLD if outcome.counts.get(name))
    kept = "kept  " if outcome.kept else "BROKEN"
    took = f"took {outcome.seconds:5.1f} s, settled {outcome.settled_s:5.1f} s"
    return f"{outcome.fault.name:20}{kept} {took}  seed {outcome.seed}  {told}"


def render_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table, one row a fault."""
    lines = [
        "| fault | what it is | promises | took | well again after | acknowledged | refused "
        "| unknown, said again | gaps | recovered, not | epochs | fenced | hot frames heard |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        counts = one.counts
        numbers = [
            f"{one.seconds:.0f} s",
            f"{one.settled_s:.1f} s",
            str(counts.get("acknowledged", 0)),
            str(counts.get("refused", 0)),
            f"{counts.get('unknown', 0)}, {counts.get('said again', 0)}",
            str(counts.get("gaps", 0)),
            f"{counts.get('recovered', 0)}, {counts.get('not recovered', 0)}",
            str(counts.get("epochs", 0)),
            str(counts.get("fenced", 0)),
            str(counts.get("hot heard", 0)),
        ]
        kept = "kept" if one.kept else "**broken**"
        lines.append(f"| `{one.fault.name}` | {one.fault.shows} | {kept} | " + " | ".join(numbers) + " |")
    return "\n".join(lines) + "\n"
