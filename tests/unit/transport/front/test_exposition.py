"""Several workers' metrics as one text."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from wsprism.transport.front.exposition import merge, of_workers
from wsprism.transport.front.seen import WorkerSeen

ONE = """# HELP a_total Some a
# TYPE a_total counter
a_total{tenant="acme"} 1.0
a_total{tenant="b {\\"x\\"}"} 2.0
# HELP up Whether
# TYPE up gauge
up 1.0
"""
TWO = """# HELP a_total Some a
# TYPE a_total counter
a_total{tenant="acme"} 3.0
# HELP more_seconds How long
# TYPE more_seconds histogram
more_seconds_bucket{le="0.1"} 1.0
more_seconds_count 1.0
more_seconds_sum 0.05
"""


def test_each_series_is_told_apart_by_its_worker_and_each_help_stands_once() -> None:
    text = merge({1: ONE, 2: TWO})
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert set(families) == {"a", "up", "more_seconds"}
    found = {(one.labels["worker"], one.labels["tenant"]): one.value for one in families["a"].samples}
    assert found == {("1", "acme"): 1.0, ("1", 'b {"x"}'): 2.0, ("2", "acme"): 3.0}
    assert text.count("# HELP a_total") == text.count("# TYPE a_total") == 1
    assert [one.labels["worker"] for one in families["more_seconds"].samples] == ["2", "2", "2"]


def test_of_no_worker_there_is_nothing() -> None:
    assert merge({}) == ""


def test_the_parent_tells_who_is_there_and_how_often_it_was_started_anew() -> None:
    text = of_workers([WorkerSeen(1, "/run/1", None, 0), WorkerSeen(2, None, "not there", 4)])
    samples = {
        (one.name, one.labels["worker"]): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert samples == {
        ("wsprism_worker_up", "1"): 1.0,
        ("wsprism_worker_up", "2"): 0.0,
        ("wsprism_worker_restarts_total", "1"): 0.0,
        ("wsprism_worker_restarts_total", "2"): 4.0,
    }
