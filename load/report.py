"""Tables of results: aligned for a terminal, Markdown and JSON for files. Pure: text out, nothing written here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from load.bars import Verdict
from load.results import Case, Outcome, Results
from load.shapes import SHAPES
from load.stats import Figures, spreads

__all__ = ["bar_rows", "is_disturbed", "one_line", "render_json", "render_markdown", "render_terminal", "result_rows"]

_TITLES = {shape.name: shape.title for shape in SHAPES}
_FIGURE_HEADINGS = ("rate/s", "p50 ms", "p99 ms", "p99.9 ms", "µs each", "CPU %", "KiB/conn", "lost", "note")
_HEADINGS = ("shape", "server", "lane", *_FIGURE_HEADINGS)
_ABSENT = "\N{EN DASH}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_BAR_HEADINGS = ("bar", "lane", "measured", "to reach", "verdict", "stretch")


def _number(value: float | None, digits: int = 1) -> str:
    return _ABSENT if value is None else f"{value:,.{digits}f}"


def _spread(outcome: Outcome, name: str, digits: int = 1) -> str:
    """The median, with the range over several runs behind it."""
    median = outcome.median.get(name)
    if median is None or len(outcome.runs) < 2:
        return _number(median, digits)
    low, high = spreads(outcome.runs)[name]
    return f"{median:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def _rate(figures: Figures) -> float | None:
    for name in ("largest_per_s", "handshakes_per_s", "delivered_per_s"):
        if name in figures:
            return figures[name]
    return None


def _lost(figures: Figures) -> str:
    share = figures.get("loss_share")
    return _ABSENT if share is None else "0" if share == 0 else f"{share:.3%}"


def is_disturbed(figures: Figures) -> bool:
    """Whether others used so much of the cores meanwhile that latencies are not to be trusted."""
    return figures.get("elsewhere_cpu_share", 0) > 0.15


def _notes(case: Case, figures: Figures) -> str:
    notes = []
    if figures.get("sustained", 1) < 0.5 and "largest_per_s" not in figures:
        notes.append("not sustained")
    if figures.get("generator_limited") or figures.get("generator_cpu_share", 0) > 0.95:
        notes.append("generator at its limit")
    if is_disturbed(figures):
        notes.append(f"{figures['elsewhere_cpu_share']:.0%} of a core used by others")
    if "neighbour_p99_ms" in figures:
        notes.append(f"pair beside: p50 {figures['neighbour_p50_ms']:.1f}, p99 {figures['neighbour_p99_ms']:.1f} ms")
    if case.shape == "slow-reader":
        notes.append(f"RSS {figures['rss_growth_mib']:+.1f} MiB")
    if "diffs_per_s" in figures:
        notes.append(f"{figures['diffs_per_s']:.1f} diffs/s and member")
    if case.shape == "storm":
        notes.append(f"{figures['recoveries']:,.0f} recovered; RSS {figures['rss_growth_mib']:+.1f} MiB")
    if "bytes_per_message" in figures:
        kept, frame = figures["messages_kept"], figures["frame_bytes_per_message"]
        notes.append(
            f"{figures['bytes_per_message']:.0f} bytes a message, {frame:.0f} of them its frame; {kept:,.0f} kept"
        )
    if "redis_us_per_turn" in figures:
        turns, each = figures["redis_turns_per_s"], figures["redis_us_per_turn"]
        notes.append(f"Redis: {turns:,.0f} turns/s, {each:.1f} µs each; {figures['carried_per_s']:,.0f}/s carried")
    if "reaped_entries" in figures:
        notes.append(
            f"{figures['reaped_entries']:,.0f} entries of the dead cleared away, in {figures['reaping_s']:.0f} s,"
            f" all {figures['reaped_after_s']:.0f} s after their death; longest latency"
            f" {figures['lag_ms']:.1f} ms, while they died {figures['death_lag_ms']:.1f} ms"
        )
    if figures.get("disconnects"):
        notes.append(f"{figures['disconnects']:.0f} disconnected")
    if figures.get("unaccounted"):
        notes.append(f"{figures['unaccounted']:+,.0f} not in its account")
    return "; ".join(notes)


def _row(case: Case, outcome: Outcome) -> tuple[str, ...]:
    figures = outcome.median
    if not figures:
        failed = outcome.failures[-1].splitlines()[0] if outcome.failures else "not run"
        return (case.shape, case.server, case.lane, *[_ABSENT] * 8, failed)
    each = "us_per_handshake" if "us_per_handshake" in figures else "us_per_delivery"
    cpu = figures.get("cpu_share")
    return (
        case.shape,
        case.server,
        case.lane,
        _number(_rate(figures), 0),
        _spread(outcome, "p50_ms", 2),
        _spread(outcome, "p99_ms", 2),
        _number(figures.get("p999_ms"), 2),
        _spread(outcome, each),
        _number(None if cpu is None else cpu * 100, 0),
        _number(figures.get("kib_per_connection")),
        _lost(figures),
        _notes(case, figures),
    )


def result_rows(results: Results) -> list[tuple[str, ...]]:
    """A heading and one row for each case."""
    order = {shape.name: place for place, shape in enumerate(SHAPES)}
    cases = sorted(results.outcomes.items(), key=lambda item: order.get(item[0].shape, len(order)))
    return [_HEADINGS, *(_row(case, outcome) for case, outcome in cases)]


def one_line(case: Case, figures: Figures) -> str:
    """A run in a line, for progress."""
    rate, each = _rate(figures), figures.get("us_per_delivery", figures.get("us_per_handshake"))
    parts = [
        f"{case.shape} {case.server} {case.lane}:",
        f"{rate:,.0f}/s" if rate is not None else "",
        f"p50 {figures['p50_ms']:.2f} p99 {figures['p99_ms']:.2f} ms" if "p99_ms" in figures else "",
        f"{each:.1f} µs" if each is not None else "",
        f"CPU {figures['cpu_share']:.0%}" if "cpu_share" in figures else "",
        f"(generator {figures['generator_cpu_share']:.0%})" if "generator_cpu_share" in figures else "",
        f"{figures['kib_per_connection']:.1f} KiB" if "kib_per_connection" in figures else "",
        f"lost {_lost(figures)}" if "loss_share" in figures else "",
        _notes(case, figures),
    ]
    return " ".join(part for part in parts if part)


def bar_rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """A heading and one row for each bar that could be judged."""
    rows: list[tuple[str, ...]] = [_BAR_HEADINGS]
    for verdict in verdicts:
        bar = verdict.bar
        relation = "≥" if bar.at_least else "≤"
        over = "more than" if bar.added else _TIMES
        unit = f" {over} {_reference_name(bar.case, bar.reference)}" if bar.reference else ""
        word = "pass" if verdict.passed else "missed" if bar.only_stretch else "FAIL"
        stretch = (
            _ABSENT if bar.stretch is None else f"{'yes' if verdict.stretched else 'no'} ({relation} {bar.stretch:g})"
        )
        rows.append(
            (
                f"{bar.case.shape}: {bar.figure}",
                bar.case.lane,
                f"{verdict.value:,.2f}{unit}",
                f"{relation} {bar.limit:.3g}{unit}" if bar.limit < 1000 else f"{relation} {bar.limit:,.0f}",
                word + (" (stretch)" if bar.only_stretch else ""),
                stretch,
            )
        )
    return rows


def _reference_name(case: Case, reference: Case) -> str:
    parts = [reference.server] if reference.server != case.server else []
    if reference.shape != case.shape:
        parts.append(reference.shape)
    if reference.server == case.server and reference.lane != case.lane:
        parts.append(reference.lane)
    return " ".join(parts) or reference.shape


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in rows)


def _piped(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _sections(results: Results, verdicts: Sequence[Verdict], table: Callable[[Sequence[Sequence[str]]], str]) -> str:
    text = table(result_rows(results))
    if verdicts:
        text += "\n\n" + table(bar_rows(verdicts))
    return text


def render_terminal(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Both tables, aligned."""
    return _sections(results, verdicts, _aligned)


def render_markdown(results: Results, verdicts: Sequence[Verdict], about: Mapping[str, str]) -> str:
    """Machine, versions, what each shape is, and both tables."""
    named = dict.fromkeys(case.shape for case in results.outcomes)
    lines = [*(f"- {key}: {value}" for key, value in about.items()), ""]
    lines += [f"- `{name}`: {_TITLES.get(name, name)}" for name in named]
    return "\n".join(lines) + "\n\n" + _sections(results, verdicts, _piped) + "\n"


def render_json(results: Results, verdicts: Sequence[Verdict], about: Mapping[str, str]) -> str:
    """Everything that was measured."""
    cases = [
        {"shape": case.shape, "server": case.server, "lane": case.lane, **outcome.to_json()}
        for case, outcome in results.outcomes.items()
    ]
    headings, *rows = bar_rows(verdicts)
    bars = [dict(zip(headings, row, strict=True)) for row in rows]
    return json.dumps({"about": dict(about), "results": cases, "bars": bars}, indent=1) + "\n"
