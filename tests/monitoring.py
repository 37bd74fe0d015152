"""What config/ asks of Prometheus, and which metrics and labels a piece of PromQL uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ALERTS", "DASHBOARDS", "alert_queries", "dashboard_queries", "labels_of", "metrics_of"]

CONFIG = Path(__file__).parents[1] / "config"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CONFIG / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARDS = sorted((CONFIG / "grafana" / "dashboards").glob("*.json"))

_METRIC = re.compile(r"\b(?:wsprism|process)_\w+")
_MATCHED = re.compile(r'\b(\w+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")
_VARIABLES = {"$instance": ".*", "$tenant": ".*", "$__rate_interval": "20s"}


def metrics_of(query: str) -> set[str]:
    """The series' names in ``query``, as they stand in /metrics."""
    return set(_METRIC.findall(query))


def labels_of(query: str) -> set[str]:
    """The labels that ``query`` matches or groups by."""
    grouped = {label.strip() for labels in _GROUPED.findall(query) for label in labels.split(",")}
    return set(_MATCHED.findall(query)) | grouped - {""}


def alert_queries() -> Iterator[str]:
    """The expressions of all alerts."""
    return (rule["expr"] for rule in ALERTS)


def dashboard_queries(path: Path) -> Iterator[str]:
    """All that a dashboard asks Prometheus, its variables replaced by what they are when everything is chosen."""
    dashboard = json.loads(path.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            queries.append(_LABEL_VALUES.sub(r"count by (\2) (\1)", variable["definition"]))
    for query in queries:
        for name, value in _VARIABLES.items():
            query = query.replace(name, value)
        yield query
