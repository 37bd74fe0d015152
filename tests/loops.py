"""Which event loop a test runs on: asyncio's own, and with the mark ``both_loops`` uvloop too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

__all__ = ["pytest_asyncio_loop_factories"]

Factory = Callable[[], asyncio.AbstractEventLoop]

_ONE: Mapping[str, Factory] = {"asyncio": asyncio.SelectorEventLoop}
_BOTH: Mapping[str, Factory] = {**_ONE, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Factory]:
    """Production uses uvloop; what a socket does there differs in many a detail."""
    return _BOTH if item.get_closest_marker("both_loops") else _ONE
