"""The runbook and the deployment page name only keys, reasons, close codes, files and sections that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.monitoring import ALERTS
from wsprism.adapters.wasm.bounds import Cause
from wsprism.policy.decisions import Reason
from wsprism.protocol.codes import CloseCode
from wsprism.settings.reference import reference

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text()

ROWS = set(re.findall(r"^\| ([a-z][\w.\[\]]*) \|", reference().split("## auth")[0], re.MULTILINE))
KEYS = ROWS | {row[: dot.start()] for row in ROWS for dot in re.finditer(r"\.", row)}
TRANSPORT = "".join(path.read_text() for path in (ROOT / "wsprism" / "transport").rglob("*.py"))
ROWS_OF_METRICS = (ROOT / "wsprism" / "adapters" / "telemetry" / "metric_rows.py").read_text()
REASONS = {reason.value for reason in Reason} | set(re.findall(r'"(\w+)"', TRANSPORT + ROWS_OF_METRICS))


def anchor_of(title: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def sections_of(page: str) -> dict[str, str]:
    """Anchor to the text below it, up to the next heading."""
    parts = re.split(r"^#+ (.*)$", page, flags=re.MULTILINE)[1:]
    return {anchor_of(title): text for title, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("page", [RUNBOOK, DEPLOYMENT], ids=["operations", "deployment"])
def test_every_configuration_key_exists(page: str) -> None:
    named = set(re.findall(r"\b(?:gateway|logging)(?:\.\w+)+", page))
    named |= set(re.findall(r"tenants\[\](?:\.\w+)+", page))
    assert len(named) >= 10
    assert named - KEYS == set()


def test_every_reason_is_one_that_is_counted() -> None:
    named = re.findall(r'reason=~?"([\w|]+)"', RUNBOOK + "".join(rule["expr"] for rule in ALERTS))
    reasons = {reason for one in named for reason in one.split("|")}
    assert len(reasons) > 20
    assert reasons - REASONS == set()


def test_every_reason_for_which_a_message_is_refused_has_its_place() -> None:
    of_handshakes = {Reason.TICKET_UNJUDGED}
    assert {one.value for one in set(Reason) - of_handshakes if f'reason="{one.value}"' not in RUNBOOK} == set()


def test_every_cause_of_a_guests_faults_has_its_place() -> None:
    section = sections_of(RUNBOOK)["a-service-is-suspended"]
    assert {one.value for one in Cause if f"`{one.value}`" not in section} == set()


def test_every_close_code_of_the_gateways_own_has_its_place() -> None:
    own = {int(code) for code in CloseCode if code >= CloseCode.SLOW_CONSUMER}
    assert {int(code) for code in re.findall(r"\b4[05]0\d\b", RUNBOOK)} == own


def test_every_alert_leads_to_a_section_that_names_it() -> None:
    sections = sections_of(RUNBOOK)
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert f"`{rule['alert']}`" in sections[anchor], rule["alert"]


@pytest.mark.parametrize("name", ["operations.md", "deployment.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / name).read_text()):
        path, _, anchor = target.partition("#")
        page = ROOT / "docs" / (path or name)
        assert page.exists(), target
        assert not anchor or anchor in sections_of(page.read_text()), target
