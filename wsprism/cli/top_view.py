"""What ``wsprism top`` shows: the API's answers in, rows and headings out. Pure: knows no API and no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsprism.cli.console import visible

__all__ = ["View", "backends_view", "heading", "plain", "rooms_view", "tenants_view"]

_MOST_NAMES = 8
"""Of nodes, on the one line."""

_RATES = {
    "in": "messages_in_per_s",
    "out": "messages_out_per_s",
    "bytes in": "bytes_in_per_s",
    "bytes out": "bytes_out_per_s",
}


@dataclass(frozen=True, slots=True)
class View:
    """A table: the first column is a name and stands left, all others right. ``total`` is its last row, if any."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()


def heading(info: Mapping[str, Any] | None, nodes: Sequence[Mapping[str, Any]] = ()) -> str:
    """One line about the process, and those of ``nodes`` that end; ``info`` is None when the key may not ask."""
    if info is None:
        return "wsPrism (the API key is scoped to tenants: nothing about the process)"
    parts = [
        f"wsPrism {info['version']}",
        f"up {_duration(info['uptime_s'])}",
        f"{info['connections']} connections",
        f"configuration {info['configuration_hash']} (generation {info['configuration_generation']})",
    ]
    if len(nodes) > 1:
        parts.append(f"{len(nodes)} nodes")
    line = visible(", ".join(parts)) + (", DRAINING" if info["draining"] else "")
    for what in ("draining", "silent"):
        names = [one["name"] for one in nodes if one.get(what)] if len(nodes) > 1 else []
        if names:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            line += visible(f"; {what}: {', '.join(names[:_MOST_NAMES])}{more}")
    return line


def tenants_view(tenants: Iterable[Mapping[str, Any]], sort: str, most: int | None = None) -> View:
    """Sorted by name, or falling by anything else; the first ``most``, while the total is of all.

    A count stands with what it may be at most, a rate is per second.
    """
    ordered = sorted(tenants, key=lambda one: one["tenant"])
    if sort != "tenant":
        ordered.sort(key=lambda one: one["rates"][_RATES[sort]] if sort in _RATES else one[sort], reverse=True)
    rows = [
        (
            visible(one["tenant"]),
            _bounded(one["sessions"], one["limits"]["max_sessions_total"]),
            _bounded(one["rooms"], one["limits"]["max_rooms_total"]),
            *_rates(one["rates"]),
        )
        for one in ordered[:most]
    ]
    sums = {key: sum(one["rates"][key] for one in ordered) for key in _RATES.values()}
    total = ("total", *(str(sum(one[key] for one in ordered)) for key in ("sessions", "rooms")), *_rates(sums))
    return View(("tenant", "sessions", "rooms", "in/s", "out/s", "in B/s", "out B/s"), rows, total)


def rooms_view(rooms: Iterable[Mapping[str, Any]], most: int) -> View:
    """The ``most`` largest rooms; the total is of all."""
    ordered = sorted(rooms, key=lambda one: (-one["sessions"], one["room"]))
    rows = [(visible(one["room"]), str(one["users"]), str(one["sessions"])) for one in ordered[:most]]
    counted = [str(sum(one[key] for one in ordered)) for key in ("users", "sessions")]
    return View(("room", "users", "sessions"), rows, (f"total of {len(ordered)}", *counted))


def backends_view(backends: Iterable[Mapping[str, Any]], most: int | None = None) -> View:
    """The backends of tenants: first those that are not as they should be; the first ``most``."""
    ordered = sorted(backends, key=lambda one: (_STATES.index(_state(one)), -one["waiting"], one["tenant"]))
    rows = [
        (
            visible(one["tenant"]),
            _state(one),
            *(str(one[key]) for key in ("streams", "in_flight", "waiting", "events_waiting", "events_missed")),
        )
        for one in ordered[:most]
    ]
    return View(("backend of", "state", "streams", "in flight", "waiting", "events waiting", "missed"), rows)


_STATES = ("away", "open", "probing", "closed")
"""Worst first: no stream is connected and there is no address; else the worst state of its breakers."""


def _state(backend: Mapping[str, Any]) -> str:
    breakers = backend["breakers"]
    if set(breakers) == {"stream"} and not backend["streams"]:
        return "away"
    return next((state for state in _STATES if state in breakers.values()), "closed")


def plain(view: View) -> str:
    """The table as aligned text, for files and pipes."""
    table = [view.columns, *view.rows, *([view.total] if view.total else [])]
    widths = [max(len(row[column]) for row in table) for column in range(len(view.columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in _cells(row, widths))
        for row in table
    )


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))


def _bounded(count: int, limit: int) -> str:
    return f"{count}/{limit}" if limit else str(count)


def _rates(rates: Mapping[str, float]) -> list[str]:
    return [_short(rates[key]) for key in _RATES.values()]


def _short(number: float) -> str:
    """Three digits or four characters: 0, 7.5, 12, 1.2k, 34M."""
    for unit in ("", "k", "M", "G"):
        if number < 999.5 or unit == "G":
            digits = f"{number:.1f}" if 0 < number < 9.95 else f"{number:.0f}"
            return digits + unit
        number /= 1000
    raise AssertionError


def _duration(seconds: float) -> str:
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    named = [(days, "d"), (hours, "h"), (minutes, "min"), (rest_s, "s")]
    first = next((place for place, (count, _) in enumerate(named) if count), len(named) - 1)
    return " ".join(f"{count} {unit}" for count, unit in named[first : first + 2])
