"""What a log line looks like, and what cannot be smuggled into one."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from wsprism.logs import JsonFormatter, configure_logging


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
