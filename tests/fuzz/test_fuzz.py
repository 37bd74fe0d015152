"""Every fuzzer runs: its seeds and old findings always, and the search itself where atheris is installed.

``WSPRISM_FUZZ_SECONDS`` says how long each search takes; README.md beside this file says how to run a long one.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.corpus import findings, seeds
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = int(os.environ.get("WSPRISM_FUZZ_SECONDS", "2"))
START_AND_STOP_S = 60


@pytest.mark.parametrize("target", TARGETS)
def test_no_seed_and_nothing_found_before_breaks_a_promise(target: str) -> None:
    for data in [*seeds(target), *findings(target)]:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_a_search_finds_nothing(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if os.environ.get("WSPRISM_REQUIRE_ALL") == "1":
            pytest.fail("atheris is not installed")
        pytest.skip("atheris is not installed")
    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(SECONDS), "--artifacts", str(tmp_path)]
    search = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS + START_AND_STOP_S)
    assert search.returncode == 0, search.stderr[-5000:]
    assert not list(tmp_path.iterdir())
