"""The measurement behind the figures of docs/deployment.md works, and they are of the order that the page names."""

from __future__ import annotations

import re

import pytest

from load import connection_memory

pytestmark = pytest.mark.alone


def test_an_idle_connection_costs_some_kibibytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection_memory, "SETTLE_S", 0.2)
    assert connection_memory.main(["--connections", "500"]) == 0
    told = re.fullmatch(r"500 idle connections: (-?[\d.]+) KiB each in the process, .*\n", capsys.readouterr().out)
    assert told
    assert 2 < float(told[1]) < 20
