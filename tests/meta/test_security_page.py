"""The security page promises nothing without a test, and names only files, keys and metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.meta.test_operations import KEYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and "---" not in line
]
SENTENCES = (
    "exceed its tenant's limits by any interleaving",
    "touch another tenant's or user's rooms, sessions or metrics",
    "publish where it is not a member",
    "make memory grow",
    "speak as somebody else",
    "write into the log",
    "learn whether a user exists",
    "see internals in an error",
)
"""What a hostile client must not be able to do; the page may say more."""


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert len(links) > 30
    for target in links:
        assert (ROOT / "docs" / target).exists(), target


def test_every_promise_names_its_tests() -> None:
    promises = [row for row in ROWS if len(row) == 3 and row[2] != "tests"]
    assert len(promises) > 15
    for what, _, tests in promises:
        files = re.findall(r"\]\(\.\./(tests/[^)]+)\)", tests)
        assert files, what
        for file in files:
            assert (
                file.endswith("README.md")
                or "def test_" in (ROOT / file).read_text()
                or ".TestCase" in (ROOT / file).read_text()
            ), what


def test_what_a_hostile_client_cannot_do_is_said_and_tested() -> None:
    said = [row[0] for row in ROWS if len(row) == 3]
    for sentence in SENTENCES:
        assert any(one.startswith(sentence) for one in said), sentence


def test_every_key_and_metric_exists() -> None:
    named = {one.partition(":")[0] for one in re.findall(r"`((?:gateway|tenants\[\])\.[\w.]+(?::[^`]*)?)`", PAGE)}
    assert len(named) > 6
    assert named <= KEYS
    assert {f"tenants[].{one}" for one in re.findall(r"`((?:limits|policy|qos)\.\w+)`", PAGE)} <= KEYS
    metrics = set(re.findall(r"`(wsprism_\w+)`", PAGE))
    assert metrics
    assert all(metric in (ROOT / "docs" / "metrics.md").read_text() for metric in metrics)
