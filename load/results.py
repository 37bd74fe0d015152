"""What a benchmark collected: figures of every run by shape, server and lane. Plain data for tables, bars and plots."""

from __future__ import annotations

from dataclasses import dataclass, field

from load.stats import Figures, medians, spreads

__all__ = ["Case", "Outcome", "Results"]


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured."""

    shape: str
    server: str
    lane: str


@dataclass(slots=True)
class Outcome:
    """Its runs, and what went wrong in those that gave no figures."""

    runs: list[Figures] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def median(self) -> Figures:
        """The median of each figure."""
        return medians(self.runs)

    def to_json(self) -> dict[str, object]:
        """Everything, for a file."""
        return {"median": self.median, "spread": spreads(self.runs), "runs": self.runs, "failures": self.failures}


class Results:
    """Outcomes in the order in which they were first measured."""

    def __init__(self) -> None:
        self.outcomes: dict[Case, Outcome] = {}

    def outcome(self, case: Case) -> Outcome:
        """The case's outcome, made when it is new."""
        return self.outcomes.setdefault(case, Outcome())

    def median(self, shape: str, server: str, lane: str = "ext") -> Figures:
        """The medians of a case; empty when it was not measured."""
        outcome = self.outcomes.get(Case(shape, server, lane))
        return outcome.median if outcome else {}
