"""Gateways over one Redis, real processes all, and each short fault of ``python -m load.chaos`` done to them."""

from __future__ import annotations

import random

import pytest

from load.chaos.__main__ import FAULTS
from load.chaos.fault import Fault, carry_out
from load.chaos.report import one_line
from tests.components import program


@pytest.mark.alone
@pytest.mark.parametrize("fault", [one for one in FAULTS if not one.long], ids=lambda one: one.name)
async def test_every_promise_is_kept(fault: Fault) -> None:
    program("redis-server")
    outcome = await carry_out(fault, random.randrange(1, 10**9))
    print(one_line(outcome))
    assert outcome.kept, "\n".join(outcome.broken)
