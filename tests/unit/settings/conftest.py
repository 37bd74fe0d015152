"""A configuration file of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.support import Configuration


@pytest.fixture
def config(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path)
