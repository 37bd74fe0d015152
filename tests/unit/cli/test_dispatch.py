"""From arguments to a command: what it prints, its exit code, and what it must not import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from wsprism.cli import main

GOOD = "version: 1\ntenants: [{id: a, auth: {kind: dev}}]\n"


def imported_by(code: str) -> set[str]:
    """The top-level packages that ``code`` leaves in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules), file=sys.__stdout__)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout
    return {name.partition(".")[0] for name in out.splitlines()[-1].split()}


def test_without_a_command_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "start" in capsys.readouterr().out


def test_schema_prints_the_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("arguments", [["--config", "/none.yaml", "--watch"], ["--config=/none.yaml"]])
def test_options_without_a_command_start_the_gateway(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert "/none.yaml: cannot be read" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fly"])
    assert stopped.value.code == 2


def test_the_parser_alone_imports_nothing_heavy() -> None:
    heavy = {
        "aiohttp",
        "asyncio",
        "http",
        "jwt",
        "msgspec",
        "opentelemetry",
        "pydantic",
        "rich",
        "shtab",
        "uvloop",
        "yaml",
    }
    assert not imported_by("from wsprism.cli.dispatch import build_parser; build_parser()") & heavy


def test_a_gateway_that_starts_does_not_import_what_only_other_commands_need() -> None:
    start = (
        "import wsprism.cli.start, wsprism.composition.app, wsprism.process.logs, wsprism.process.run, wsprism.settings"
    )
    assert not imported_by(f"{start}; wsprism.process.logs.configure_logging('json', 'info', {{}})") & {"rich", "shtab"}


def test_a_reader_that_closes_the_pipe_gets_no_traceback() -> None:
    command = f"{sys.executable} -m wsprism schema | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_ctrl_c_is_an_exit_code_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wsprism.settings.json_schema", interrupt)
    assert main(["schema"]) == 130


def test_a_number_below_one_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "ws://h", "--clients", "0"])
    assert stopped.value.code == 2
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["connect"], ["connect", "nonsense"], ["bench"], ["top", "--url", "nonsense"]])
def test_a_gateway_that_is_not_named_is_a_usage_error(arguments: list[str]) -> None:
    assert main(arguments) == 2
