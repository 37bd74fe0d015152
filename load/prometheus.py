"""Reads Prometheus' text format as far as accounts need it: totals by metric name, over all labels."""

from __future__ import annotations

__all__ = ["total_by_name"]


def total_by_name(text: str) -> dict[str, float]:
    """The sum of every metric's samples; comments and lines that are no sample are passed over."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name = line.partition("{")[0].partition(" ")[0]
        fields = line[line.rfind("}") + 1 :].split() if "}" in line else line.split()[1:]
        try:
            totals[name] = totals.get(name, 0.0) + float(fields[0])
        except (IndexError, ValueError):
            continue
    return totals
