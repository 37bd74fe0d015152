"""The command line: what it prints and the exit codes that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsprism.cli import main

GOOD = "version: 1\ntenants: [{id: a, auth: {kind: dev}}]\n"


def test_without_a_command_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "start" in capsys.readouterr().out


def test_check_accepts_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    assert main(["check", "--config", str(path)]) == 0
    assert "ok (1 tenants)" in capsys.readouterr().out


def test_check_lists_every_fault_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 2\ntenants:\n  - id: a\n    limts: {}\n")
    assert main(["check", "--config", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"{path}:1: version:")
    assert "did you mean limits?" in told[1]


def test_schema_prints_the_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("gateway: {tls: {cert_file: a, key_file: b}}", "gateway.tls"),
        ("gateway: {internal: {listen: '127.0.0.1:1'}}", "gateway.internal"),
    ],
)
def test_a_key_that_would_have_no_effect_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str, named: str
) -> None:
    path = tmp_path / "early.yaml"
    path.write_text(f"{GOOD}{lines}\n")
    assert main(["start", "--config", str(path)]) == 1
    assert f"not available in this version: {named}" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fly"])
    assert stopped.value.code == 2
