"""A parent and its workers, replaced one by one."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from load.chaos.fault import Fault
from load.chaos.knocks import knocking
from load.chaos.world import Setup, World

__all__ = ["OF_WORKERS"]

_WORKERS: Final = 4
_KNOCKING: Final = 8
_DONE_WITHIN_S: Final = 240.0


async def _roll(world: World) -> None:
    """While clients come and go, and members publish."""
    (parent,) = world.nodes
    async with knocking(world, parent, _KNOCKING):
        parent.signal(signal.SIGUSR2)

        async def done() -> bool:
            if "the rolling restart is given up" in parent.log():
                world.account.breaks("the rolling restart was given up")
                return True
            return "rolling restart done" in parent.log()

        await world.until("a rolling restart done", done, within_s=_DONE_WITHIN_S)
        await asyncio.sleep(0.5)
    replaced = parent.log().count("a worker was replaced")
    if replaced != _WORKERS:
        world.account.breaks(f"{replaced} of {_WORKERS} workers were replaced")
    if failed := world.account.counts["handshakes failed"]:
        world.account.breaks(f"{failed} members and others were not answered when they came")


OF_WORKERS: Final = (
    Fault(
        "roll", "SIGUSR2: four workers of one parent are replaced, under load", _roll, Setup(nodes=1, workers=_WORKERS)
    ),
)
"""In the order in which they are listed."""
