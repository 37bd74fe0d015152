"""The table of behaviours and SDKs that a run of their tests ends with."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

__all__ = ["print_behaviours", "table"]

_CASE = re.compile(r"tests/sdk/test_\w+\.py::test_(?P<behaviour>\w+)\[(?P<sdk>[a-z]+[0-9.]*)(?:-[^\]]*)?\]$")
_RANK = {"green": 1, "n/a": 0, "red": 2}


def table(outcomes: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of Markdown, from node ids and outcomes (``passed``, ``skipped``, and all else is red)."""
    cells: dict[str, dict[str, str]] = {}
    sdks: dict[str, None] = {}
    for node, outcome in outcomes:
        if (found := _CASE.search(node)) is None:
            continue
        word = {"passed": "green", "skipped": "n/a"}.get(outcome, "red")
        behaviour, sdk = found["behaviour"].replace("_", " "), found["sdk"]
        sdks[sdk] = None
        row = cells.setdefault(behaviour, {})
        row[sdk] = max(word, row.get(sdk, word), key=lambda each: _RANK[each])
    if not cells:
        return []
    lines = [f"| behaviour | {' | '.join(sdks)} |", f"|---|{'---|' * len(sdks)}"]
    return lines + [f"| {name} | {' | '.join(row.get(sdk, '') for sdk in sdks)} |" for name, row in cells.items()]


def print_behaviours(reporter: pytest.TerminalReporter) -> None:
    """Behind the run's own summary."""
    reports = [report for kind in ("passed", "skipped", "failed", "error") for report in reporter.stats.get(kind, [])]
    lines = table((report.nodeid, report.outcome) for report in reports if hasattr(report, "nodeid"))
    if lines:
        reporter.section("behaviours of the SDKs")
        for line in lines:
            reporter.line(line)
