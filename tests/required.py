"""What a test does without a component of the system: skip and say so, or fail where CI requires all of them."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["skip_unless_required"]


def skip_unless_required(reason: str) -> NoReturn:
    """Skip, saying why; fail with WSPRISM_REQUIRE_ALL, as CI sets it."""
    if os.environ.get("WSPRISM_REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)
