"""What a log line looks like, and what cannot be smuggled into one."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from pathlib import Path
from typing import get_args

import pytest

import wsprism
from wsprism.process.logs import ConsoleFormatter, JsonFormatter, configure_logging
from wsprism.settings.models import Component


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("wsprism.test", logging.INFO, "f", 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def test_a_record_is_one_line_of_json_with_its_fields() -> None:
    line = JsonFormatter().format(record("opened by %s", "ann", tenant="acme", lasted_s=1.5))
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "level": "info",
        "logger": "wsprism.test",
        "message": "opened by ann",
        "tenant": "acme",
        "lasted_s": 1.5,
    }


def test_a_users_name_cannot_write_a_line_of_its_own() -> None:
    line = JsonFormatter().format(record("opened", user='eve\n{"level":"error"}\x1b[2J'))
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["level"] == "info"


def test_an_exception_stays_on_the_line() -> None:
    try:
        raise ValueError("inner")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: inner" in json.loads(line)["exception"]


@pytest.mark.parametrize(("format", "is_json"), [("json", True), ("console", False), ("auto", True)])
def test_the_format_and_the_levels_are_as_configured(
    monkeypatch: pytest.MonkeyPatch, format: str, is_json: bool
) -> None:
    root, component = logging.getLogger(), logging.getLogger("wsprism.quiet")
    before = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        configure_logging(format, "info", {"quiet": "error"})
        logging.getLogger("wsprism.loud").info("heard", extra={"room": "r"})
        component.info("not heard")
        (writer,) = root.handlers
        configure_logging(format, "info", {})
        assert root.handlers == [writer]
        writer.close()
    finally:
        root.handlers[:], root.level = before
        component.setLevel(logging.NOTSET)
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = True
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "heard" in lines[0]
    assert lines[0].startswith("{") is is_json


def test_half_a_character_is_a_line_too() -> None:
    line = JsonFormatter().format(record("said \ud800"))
    assert json.loads(line)["message"] == "said \ud800"


def console(made: logging.LogRecord, *, colors: bool = False) -> str:
    return ConsoleFormatter(colors=colors).format(made)


def test_people_see_columns_and_fields() -> None:
    line = console(record("opened", tenant="acme", why="too slow", lasted_s=1.5))
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d info     test         opened {23}tenant=acme why="too slow" lasted_s=1.5', line
    ), line


def test_colours_are_for_terminals_only() -> None:
    assert "\x1b[32m" in console(record("opened"), colors=True)
    assert "\x1b" not in console(record("opened"))


@pytest.mark.parametrize(
    "evil",
    [
        "eve\n12:00:00 error    gateway      forged",
        "eve\r12:00:00 forged",
        "eve\x1b[2J\x1b[31m",
        "eve\x9b31m",
        "eve\u202egnp.exe",
        "eve\u2028forged",
        "eve\x00\x07\x08",
        "eve\ud800",
        'eve" admin="yes',
        "eve admin=yes",
    ],
)
def test_no_name_escapes_its_field_on_the_console(evil: str) -> None:
    for made in (record("opened", user=evil), record(f"opened by {evil}"), record("opened by %s", evil)):
        line = console(made)
        assert line.isprintable(), line
    shown = console(record("opened", user=evil, room="last"))
    assert len(re.findall(r"(?<![\\\w])\w+=", re.sub(r'"(\\.|[^"\\])*"', "", shown))) == 2
    assert shown.endswith("room=last")


def test_a_traceback_stays_behind_its_bar() -> None:
    try:
        raise ValueError("inner\n12:00:00 error    gateway      forged")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    first, *rest = console(made).split("\n")
    assert first.endswith("failed")
    assert all(line.startswith("  | ") for line in rest)
    assert any("forged" in line for line in rest)


def test_the_components_that_have_levels_are_those_that_log() -> None:
    sources = Path(wsprism.__file__).parent.rglob("*.py")
    log = {name for path in sources for name in re.findall(r'getLogger\("wsprism\.(\w+)"\)', path.read_text())}
    assert log == set(get_args(Component))
    page = (Path(__file__).parents[3] / "docs" / "tracing.md").read_text()
    assert ", ".join(f"`{name}`" for name in sorted(log)) in " ".join(page.split())


def test_the_console_shows_enough_of_a_trace_id_and_the_json_all_of_it() -> None:
    made = record("connection opened", tenant="acme", trace_id="0af7651916cd43dd8448eb211c80319c")
    assert console(made).endswith("trace_id=0af76519…")
    assert json.loads(JsonFormatter().format(made))["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
