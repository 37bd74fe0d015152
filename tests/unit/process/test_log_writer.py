"""Logging never waits for who reads the log; what is lost for that is told."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from wsprism.process import log_writer
from wsprism.process.log_writer import LineWriter
from wsprism.process.logs import JsonFormatter


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.Logger("wsprism.test", logging.INFO)
    yield logger
    for handler in logger.handlers:
        handler.close()


def attach(log: logging.Logger, stream: io.TextIOBase) -> LineWriter:
    writer = LineWriter(stream)  # type: ignore[arg-type]
    writer.setFormatter(JsonFormatter())
    log.addHandler(writer)
    return writer


def messages(text: str) -> list[str]:
    return [json.loads(line)["message"] for line in text.splitlines()]


def test_lines_keep_their_order_and_are_there_after_a_flush(log: logging.Logger) -> None:
    stream = io.StringIO()
    writer = attach(log, stream)
    for number in range(1000):
        log.info("line %d", number)
    writer.flush()
    assert messages(stream.getvalue()) == [f"line {number}" for number in range(1000)]


def test_a_full_pipe_stops_nobody_and_the_loss_is_told(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 500)
    monkeypatch.setattr(log_writer, "CLOSE_TIMEOUT_S", 0.05)
    reader, pipe = os.pipe()
    with open(pipe, "w") as stream, open(reader, "rb") as end:
        writer = attach(log, stream)
        before_s = time.monotonic()
        for number in range(20_000):
            log.info("line %d of very many, none of which anybody reads for the time being", number)
        writer.flush()
        assert time.monotonic() - before_s < 60
        assert writer._thread.is_alive()
        read: list[bytes] = []
        emptying = threading.Thread(target=lambda: read.extend(iter(lambda: end.read1(65536), b"")))
        emptying.start()
        monkeypatch.setattr(log_writer, "CLOSE_TIMEOUT_S", 60)
        writer.flush()
        log.info("heard again")
        writer.close()
        stream.close()
        emptying.join()
    lines = [json.loads(line) for line in b"".join(read).splitlines()]
    assert lines[0]["message"].startswith("line 0 ")
    assert (
        sum(line["message"].startswith("line ") for line in lines) + sum(line.get("lost", 0) for line in lines)
        == 20_000
    )
    assert lines[-1]["message"] == "heard again"


def test_a_reader_that_has_gone_stops_nobody(log: logging.Logger) -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    stream = open(pipe, "w")  # noqa: SIM115 (a descriptor; its flush at the end must fail quietly)
    writer = attach(log, stream)
    log.info("to nobody")
    writer.flush()
    assert writer._thread.is_alive()
    writer.close()
    assert not writer._thread.is_alive()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_arguments_that_do_not_fit_are_a_line_of_their_own_and_not_raised(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    writer = attach(log, stream)
    log.info("%d", "no number")
    log.info("goes on")
    writer.flush()
    assert messages(stream.getvalue()) == ["a log line's arguments do not fit: '%d'", "goes on"]
    assert "TypeError" in json.loads(stream.getvalue().splitlines()[0])["exception"]
    assert capsys.readouterr().err == ""


def test_closing_twice_is_no_matter(log: logging.Logger) -> None:
    writer = attach(log, io.StringIO())
    writer.close()
    writer.close()
    writer.flush()
