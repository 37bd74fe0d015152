"""A hangup that comes too early is remembered."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from wsprism.process.hangups import Hangups


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_it_is_remembered_and_kills_nobody() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    hangups = Hangups()
    assert not hangups.came
    os.kill(os.getpid(), signal.SIGHUP)
    assert hangups.came


def test_who_was_told_to_ignore_it_ignores_it() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hangups = Hangups()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not hangups.came
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
