"""``on_isolation: keep``: a node that has lost its lease keeps its sessions, and counts them anew when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from load.chaos.fault import Fault
from load.chaos.world import Setup, World

__all__ = ["OF_ISOLATION", "stays"]


@contextmanager
def stays(world: World) -> Iterator[None]:
    """No member's connection ends in the block."""
    before = {one.user: one.connections for one in world.members}
    yield
    for one in world.members:
        if one.socket is None or one.connections != before[one.user]:
            world.account.breaks(f"{one.user} was not kept by its node, which keeps its sessions")


async def _cut_off(for_s: float, world: World) -> None:
    """A node sees nothing of Redis for longer than its lease, is taken for dead, and its places are given to others."""
    proxy = world.proxies[0]
    with stays(world):
        proxy.stall()
        try:
            await asyncio.sleep(world.setup.lease_ms / 1000)
            await world.goes_on(for_s - world.setup.lease_ms / 1000)
        finally:
            proxy.flow()


OF_ISOLATION = (
    Fault(
        "black-hole-keep",
        "the network of a node that keeps its sessions swallows everything for 7 s, longer than the lease",
        partial(_cut_off, 7.0),
        Setup(proxied=True, on_isolation="keep"),
        nobody_dies=False,
    ),
)
"""In the order in which they are listed."""
