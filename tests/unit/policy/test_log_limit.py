"""One line a second and reason, whoever asks for more."""

from __future__ import annotations

import logging

import pytest

from wsprism.policy.log_limit import LimitedLog


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    return [(vars(record)["reason"], vars(record).get("left_out")) for record in caplog.records]


def test_a_reason_is_written_once_a_second_and_what_was_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    limited = LimitedLog(logging.getLogger("test"), lambda: now[0])
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            limited.log("ticket", "refused", address="::1")
        limited.log("origin", "refused")
        now[0] = 0.999
        limited.log("ticket", "refused")
        now[0] = 1.0
        limited.log("ticket", "refused")
        now[0] = 2.0
        limited.log("ticket", "refused")
    assert lines(caplog) == [("ticket", None), ("origin", None), ("ticket", 5), ("ticket", None)]
    assert vars(caplog.records[0])["address"] == "::1"


def test_the_level_is_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    LimitedLog(logging.getLogger("test"), lambda: 0.0).log("x", "y", level=logging.WARNING)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
