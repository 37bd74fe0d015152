"""The benchmark's shapes with a backend run end to end: over HTTP and over a stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = ["--servers", "wsprism", "--lanes", "ext", "--runs", "1", "--seconds", "0.3", "--warm-up", "0.2"]


@pytest.mark.parametrize("shape", ["backend-live", "backend-stream-added", "backend-plain"])
def test_a_shape_measures_what_is_asked_and_answered(shape: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "load.bench", "--shapes", shape, *QUICK, "--json", str(tmp_path / "told.json")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    [result] = json.loads((tmp_path / "told.json").read_text())["results"]
    assert result["failures"] == [], told.stderr
    [figures] = result["runs"]
    assert figures.get("delivered_per_s", figures.get("largest_per_s")) > 0
    if shape != "backend-plain":
        assert figures["losses"] == 0
        assert figures["neighbour_samples"] > 0
    assert "Traceback" not in told.stderr
