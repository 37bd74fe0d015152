"""The image and the systemd unit, looked at without an engine and without a service manager."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.components import program

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (ROOT / "config" / "systemd" / "wsprism.service").read_text()


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    found = subprocess.run([program("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_image_is_pinned_small_and_not_root() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert not re.search(r"apt-get|pip install|gcc", final)
    entrypoint = re.search(r"^ENTRYPOINT (.*)$", final, re.MULTILINE)
    assert entrypoint
    assert json.loads(entrypoint[1]) == ["wsprism"]


def test_the_image_can_be_a_node_and_have_workers() -> None:
    assert re.search(r"pip .*install .*'\.\[redis\]'$", DOCKERFILE, re.MULTILINE)


def test_what_the_image_copies_reaches_the_engine() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    assert patterns[1] == "*"
    sent = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    assert all((ROOT / name).exists() for name in sent)
    copied = {source for source in re.findall(r"^COPY (?!--)(\S+)", DOCKERFILE, re.MULTILINE) if source != "."}
    assert all(any(fnmatch.fnmatch(source, f"{name}*") for name in sent) for source in copied)
    assert {"pyproject.toml", "README.md", "LICENSE", "wsprism", "actors", "qos"} <= sent


def test_systemd_takes_the_unit_and_finds_it_well_contained(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / "wsprism.service"
    unit.write_text(UNIT.replace("/opt/wsprism/bin/wsprism", f"{sys.executable} -m wsprism"))
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        told = subprocess.run([analyze, *command, str(unit)], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
        assert not told.stderr


def test_the_service_manager_waits_longer_than_a_drain() -> None:
    production = (ROOT / "config" / "production.yaml").read_text()
    grace_ms = re.search(r"drain_grace_ms: (\d+)", production)
    stop_s = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert grace_ms
    assert stop_s
    assert int(stop_s[1]) > int(grace_ms[1]) / 1000
