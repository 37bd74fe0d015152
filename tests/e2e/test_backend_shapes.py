"""The benchmark's shapes with a backend run end to end: over HTTP, over a stream, and what they are compared with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHAPES = ("backend-plain", "backend-live", "backend-stream-added")
QUICK = ["--servers", "wsprism", "--lanes", "ext", "--runs", "1", "--seconds", "0.5", "--warm-up", "0.5"]


@pytest.mark.alone
def test_what_is_asked_and_answered_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "load.bench", "--shapes", ",".join(SHAPES), *QUICK]
    file = tmp_path / "told.json"
    told = subprocess.run(
        [*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    results = json.loads(file.read_text())["results"]
    assert [one["shape"] for one in results] == list(SHAPES)
    for one in results:
        assert one["failures"] == [], told.stderr
        [figures] = one["runs"]
        assert figures.get("delivered_per_s", figures.get("largest_per_s")) > 0
        if one["shape"] != "backend-plain":
            assert figures["losses"] == 0
            assert figures["neighbour_samples"] > 0
    assert "Traceback" not in told.stderr
