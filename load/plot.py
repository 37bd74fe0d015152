"""Draws cost for each delivery against room size and against rate, as one SVG written by hand. Pure: text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from load.results import Results

__all__ = ["Series", "panel", "render_svg"]

Series = Mapping[str, Sequence[tuple[float, float]]]
"""Points (x, y) by name."""

_WIDTH, _HEIGHT, _MARGIN = 460, 320, 56
_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8f5bb5", "#c98a1b", "#555555")


def _ticks(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _short(value: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def panel(series: Series, title: str, x_label: str, left: int) -> str:
    """One plot with a logarithmic x axis and a y axis from 0, ``left`` pixels from the picture's edge."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    ticks = _ticks(min(x for x, _ in points), max(x for x, _ in points))
    low, high = math.log10(ticks[0]), math.log10(max(ticks[-1], ticks[0] * 10))
    top = max(y for _, y in points) * 1.1 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low) * (_WIDTH - 2 * _MARGIN)
        return left + _MARGIN + across, _HEIGHT - _MARGIN - y / top * (_HEIGHT - 2 * _MARGIN)

    parts = [f'<text x="{left + _WIDTH / 2}" y="22" text-anchor="middle" font-weight="bold">{escape(title)}</text>']
    for tick in ticks:
        x, y = place(tick, 0)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{_MARGIN}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{_short(tick)}</text>')
    for step in range(5):
        value = top * step / 4
        x, y = place(10**low, value)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{left + _WIDTH - _MARGIN}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:.1f}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [place(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        corner = f'x="{left + _WIDTH - _MARGIN}" y="{_MARGIN + 14 * number}"'
        parts.append(f'<text {corner} text-anchor="end" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{left + _WIDTH / 2}" y="{_HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>')
    return "\n".join(parts)


def _series(results: Results, prefix: str, x_figure: str | None) -> dict[str, list[tuple[float, float]]]:
    """µs for each delivery of all shapes named ``prefix-…``; x is a figure, or the number that ends the name."""
    series: dict[str, list[tuple[float, float]]] = {}
    for case, outcome in results.outcomes.items():
        figures = outcome.median
        if case.shape.startswith(prefix) and "us_per_delivery" in figures:
            x = figures[x_figure] if x_figure else float(case.shape.rpartition("-")[2])
            series.setdefault(f"{case.server} {case.lane}", []).append((x, figures["us_per_delivery"]))
    return series


def render_svg(results: Results) -> str:
    """Both plots side by side; one that has no points is left out."""
    panels = [
        (_series(results, "growth-", None), "µs for each delivery, by room size", "members (40,000 deliveries/s)"),
        (_series(results, "room200-", "delivered_per_s"), "µs for each delivery, by rate", "deliveries/s, room of 200"),
    ]
    shown = [entry for entry in panels if entry[0]]
    body = "\n".join(panel(*entry, left=place * _WIDTH) for place, entry in enumerate(shown))
    width = max(len(shown), 1) * _WIDTH
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
        'font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )
