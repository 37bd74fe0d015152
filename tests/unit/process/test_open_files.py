"""The limit on open files: raised, told, and compared with what the configuration may need."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator

import pytest

from wsprism.process.open_files import LEAST_SENSIBLE, needed_files, raise_open_files
from wsprism.settings import Settings


def settings(*max_sessions: int) -> Settings:
    tenants = [{"id": str(number), "limits": {"max_sessions_total": one}} for number, one in enumerate(max_sessions)]
    return Settings.model_validate({"version": 1, "tenants": tenants}, context={"tenant_ids": set()})


@pytest.fixture
def soft_limit() -> Iterator[int]:
    """A soft limit below the hard one; restored afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield 512
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_becomes_the_hard_one_and_is_told(soft_limit: int, caplog: pytest.LogCaptureFixture) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with caplog.at_level(logging.INFO):
        got = raise_open_files(settings(10))
    assert got == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert got > soft_limit
    record = next(record for record in caplog.records if record.message == "limit on open files")
    assert (record.__dict__["before"], record.__dict__["now"], record.__dict__["hard"]) == (soft_limit, got, hard)


def test_a_limit_below_the_sum_of_all_sessions_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    raise_open_files(settings(10**9, 10**9))
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.__dict__["needed"] > 2 * 10**9 for record in warned] == [True]


def test_unlimited_sessions_need_a_sensible_number() -> None:
    assert needed_files(settings(100, 0)) == LEAST_SENSIBLE
    assert 300 < needed_files(settings(100, 200)) < 1000
