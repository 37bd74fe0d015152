"""``wsprism plugin``: what it writes works, what it runs it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python_services import COUNTER, write

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    command = arguments if arguments[0] == "-m" else ("-m", "wsprism", "plugin", *arguments)
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        input=text,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_new_writes_passes_its_test_and_is_not_written_over(tmp_path: Path) -> None:
    told = run("new", "board", "--directory", str(tmp_path), cwd=ROOT)
    assert (told.returncode, told.stderr) == (0, "")
    passed = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_board.py", cwd=tmp_path)
    assert passed.returncode == 0, passed.stdout
    again = run("new", "board", "--directory", str(tmp_path), cwd=ROOT)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["1st", "a-b", "class", "", "ä", "../up"])
def test_a_name_that_python_cannot_import_is_refused(tmp_path: Path, name: str) -> None:
    told = run("new", name, cwd=tmp_path)
    assert told.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    told = run("new", "board", "--directory", str(tmp_path / "nowhere"), cwd=tmp_path)
    assert (told.returncode, "cannot be written" in told.stderr) == (1, True)


def test_each_line_is_answered_in_a_line(tmp_path: Path) -> None:
    write(tmp_path, COUNTER + "\n@service.on('odd')\ndef odd(context):\n    return 5\n")
    lines: list[Any] = [
        {"type": "move", "room": "r", "data": {"x": 1}, "session": {"user": "bob"}},
        {"type": "move", "room": "r", "data": {"x": 2}, "session": {"user": "bob"}},
        {"type": "move", "data": {}},
        {"type": "unknown"},
        {"type": "forbidden"},
        {"type": "odd"},
        {"type": "a b"},
        {},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\nnonsense\n[[[[\n"
    told = run("run", "game.py", "--options", '{"a": 1}', cwd=tmp_path, text=text)
    assert (told.returncode, told.stderr) == (0, "")
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    assert answers[1]["effects"] == [
        {"publish": {"type": "moved", "data": {"by": "bob", "x": 2}}},
        {"reply": {"moves": 2}},
    ]
    codes = [one["effects"][0]["refuse"]["code"] for one in answers[2:5]]
    assert codes == ["BAD_REQUEST", "NOT_ALLOWED", "NOT_ALLOWED"]
    assert "found int" in answers[5]["fault"]
    assert all("the line is no message" in one["fault"] for one in answers[6:])
    assert len(answers) == 10


@pytest.mark.parametrize(("code", "said"), [("service = ", ":1: SyntaxError"), ("x = 1", "must offer its service")])
def test_what_is_no_service_is_said_with_its_line(tmp_path: Path, code: str, said: str) -> None:
    write(tmp_path, code)
    told = run("run", "game.py", cwd=tmp_path)
    assert told.returncode == 1
    assert said in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("options", ["nonsense", "[]", "5"])
def test_options_are_a_json_object(tmp_path: Path, options: str) -> None:
    write(tmp_path, COUNTER)
    told = run("run", "game.py", "--options", options, cwd=tmp_path)
    assert (told.returncode, "--options must be a JSON object" in told.stderr) == (2, True)
