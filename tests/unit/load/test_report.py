"""Bars are judged only where figures are there; tables, JSON and plots show what was measured."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from load.bars import judge
from load.plot import render_svg
from load.report import bar_rows, render_json, render_markdown, render_terminal, result_rows
from load.results import Case, Results
from load.stats import Figures


def _results(**changes: float) -> Results:
    results = Results()
    ours: Figures = {"us_per_delivery": 7.0, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_share": 0.3, "delivered_per_s": 40_000}
    nats: Figures = {"us_per_delivery": 8.0, "p50_ms": 1.0, "p99_ms": 3.0, "cpu_share": 0.4, "delivered_per_s": 40_000}
    results.outcome(Case("room200-40k", "wsprism", "ext")).runs += [ours | changes, ours | changes]
    results.outcome(Case("room200-40k", "nats", "ext")).runs.append(nats)
    return results


def test_a_bar_is_a_ratio_to_the_reference_of_the_same_run() -> None:
    (cost, latency) = judge(_results())
    assert (cost.value, cost.passed, cost.stretched) == (0.875, True, True)
    assert (round(latency.value, 2), latency.passed, latency.stretched) == (0.67, True, None)


def test_a_bar_is_missed_above_its_limit() -> None:
    assert [verdict.passed for verdict in judge(_results(p99_ms=3.1))] == [True, False]


def test_nothing_is_judged_without_the_reference() -> None:
    results = Results()
    results.outcome(Case("room200-40k", "wsprism", "ext")).runs.append({"us_per_delivery": 1.0})
    assert judge(results) == []


def test_what_is_added_is_a_difference_to_the_reference() -> None:
    results = Results()
    results.outcome(Case("cluster-chat", "wsprism", "ext")).runs.append({"p50_ms": 1.6})
    results.outcome(Case("cluster-chat-alone", "wsprism", "ext")).runs.append({"p50_ms": 0.4})
    (verdict,) = judge(results)
    assert (round(verdict.value, 2), verdict.passed) == (1.2, False)
    assert "≤ 1 more than cluster-chat-alone" in bar_rows([verdict])[1]


def test_a_rate_is_judged_from_below() -> None:
    results = Results()
    results.outcome(Case("handshakes", "wsprism", "ext")).runs.append({"handshakes_per_s": 2400.0})
    (verdict,) = judge(results)
    assert not verdict.passed
    assert "≥ 2,500" in bar_rows([verdict])[1]


def test_a_row_has_the_median_and_the_range_of_several_runs() -> None:
    results = _results()
    results.outcome(Case("room200-40k", "wsprism", "ext")).runs.append({"us_per_delivery": 9.0})
    assert "7.0 (7.0-9.0)" in result_rows(results)[1]


def test_a_case_without_figures_says_why() -> None:
    results = Results()
    results.outcome(Case("room200-40k", "nchan", "ext")).failures.append("nchan does not run:\ndetails")
    assert result_rows(results)[1][-1] == "nchan does not run:"


def test_every_row_is_as_wide_as_its_heading() -> None:
    results = _results(neighbour_p50_ms=1.0, neighbour_p99_ms=2.0, disconnects=3, unaccounted=1, sustained=0)
    for rows in (result_rows(results), bar_rows(judge(results))):
        assert {len(row) for row in rows} == {len(rows[0])}


def test_rows_stand_in_the_order_of_the_shapes_not_of_the_runs() -> None:
    results = Results()
    for shape in ("largest", "room200-40k"):
        results.outcome(Case(shape, "nats", "ext")).runs.append({"p99_ms": 1.0})
    assert [row[0] for row in result_rows(results)[1:]] == ["room200-40k", "largest"]


def test_markdown_names_machine_shapes_and_verdicts() -> None:
    results = _results()
    text = render_markdown(results, judge(results), {"processor": "a chip"})
    assert "- processor: a chip" in text
    assert "| room200-40k | wsprism | ext |" in text
    assert "| pass |" in text


def test_the_terminal_table_is_aligned() -> None:
    lines = render_terminal(_results(), []).splitlines()
    assert len({line.index("ext" if place else "lane") for place, line in enumerate(lines)}) == 1


def test_json_holds_every_run() -> None:
    results = _results()
    document = json.loads(render_json(results, judge(results), {"cores": "2"}))
    assert len(document["results"][0]["runs"]) == 2
    assert document["bars"][0]["verdict"] == "pass"


def test_the_plot_is_well_formed_and_has_a_line_for_each_server_and_lane() -> None:
    results = _results()
    for members in (10, 100):
        results.outcome(Case(f"growth-{members}", "wsprism", "ext")).runs.append({"us_per_delivery": 5.0})
    picture = ElementTree.fromstring(render_svg(results))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3


def test_a_plot_of_nothing_is_still_a_picture() -> None:
    ElementTree.fromstring(render_svg(Results()))
