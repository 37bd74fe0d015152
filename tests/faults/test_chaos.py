"""Gateways over one Redis, real processes all, and each short fault of ``python -m load.chaos`` done to them.

Faults mostly wait for leases, so several are under way at a time, each in a world of its own: they show exactness.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from load.chaos.__main__ import FAULTS
from load.chaos.fault import Fault, Outcome, carry_out
from load.chaos.report import one_line
from load.chaos.world import Manner
from tests.components import program

_AT_ONCE: Final = 4
_SLACK_S: Final = 15.0
"""Beside others nothing is quick; how long ghosts are there is judged by the tool, which does one after the other."""

pytestmark = [
    pytest.mark.alone,
    pytest.mark.any_python,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]

Outcomes = dict[str, asyncio.Task[Outcome]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(request: pytest.FixtureRequest) -> AsyncIterator[Outcomes]:
    """Of the faults that this run has chosen, in its order."""
    program("redis-server")
    places = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(fault: Fault) -> Outcome:
        async with places:
            return await carry_out(fault, random.randrange(1, 10**9), Manner(slack_s=_SLACK_S))

    items = [one for one in request.session.items if isinstance(one, pytest.Function) and one.path == request.path]
    names = {one.callspec.id for one in items}
    chosen = [one for one in FAULTS if one.name in names]
    tasks = {one.name: asyncio.create_task(in_turn(one)) for one in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("fault", [one for one in FAULTS if not one.long], ids=lambda one: one.name)
async def test_every_promise_is_kept(fault: Fault, outcomes: Outcomes) -> None:
    outcome = await outcomes[fault.name]
    print(one_line(outcome))
    assert outcome.kept, "\n".join(outcome.broken)
