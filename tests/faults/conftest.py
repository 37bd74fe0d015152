"""Tests of faults run on the event loop that they ask for."""

from tests.loops import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
