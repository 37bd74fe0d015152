"""The benchmark's shapes of several processes run end to end: with a backend, and as nodes over a Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components import program

ROOT = Path(__file__).parents[2]
SHAPES = ("backend-plain", "backend-live", "backend-stream-added")
QUICK = ["--servers", "wsprism", "--lanes", "ext", "--runs", "1", "--seconds", "0.5", "--warm-up", "0.5"]


def measured(shapes: tuple[str, ...], file: Path) -> tuple[list[dict[str, Any]], str]:
    command = [sys.executable, "-m", "load.bench", "--shapes", ",".join(shapes), *QUICK, "--json", str(file)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert "Traceback" not in told.stderr
    results = json.loads(file.read_text())["results"]
    assert [one["shape"] for one in results] == list(shapes)
    assert all(one["failures"] == [] for one in results), told.stderr
    return [figures for one in results for figures in one["runs"]], told.stdout


@pytest.mark.alone
def test_what_is_asked_and_answered_is_measured(tmp_path: Path) -> None:
    runs, _ = measured(SHAPES, tmp_path / "told.json")
    for shape, figures in zip(SHAPES, runs, strict=True):
        assert figures.get("delivered_per_s", figures.get("largest_per_s", 0.0)) > 0
        if shape != "backend-plain":
            assert figures["losses"] == 0
            assert figures["neighbour_samples"] > 0


@pytest.mark.alone
def test_nodes_over_a_redis_are_measured_against_one_without(tmp_path: Path) -> None:
    program("redis-server")
    runs, told = measured(("cluster-chat-alone", "cluster-chat", "cluster-matches-4"), tmp_path / "told.json")
    for figures in runs:
        assert figures["losses"] == 0
    assert "redis_us_per_turn" not in runs[0]
    assert runs[1]["redis_turns_per_s"] > 0
    assert runs[2]["carried_per_s"] > 0
    assert "more than cluster-chat-alone" in told
