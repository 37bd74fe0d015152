"""What a fault is, and what becomes of one: it is done to a world of its own while clients publish, and judged."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from load.chaos.account import Account
from load.chaos.afterwards import check, settle
from load.chaos.running import running_world
from load.chaos.world import Manner, NotSettledError, Setup, World

__all__ = ["Epochs", "Fault", "Outcome", "carry_out"]

_WARM_UP_S = 1.0
PLAIN_SETUP: Final = Setup()
PLAIN_MANNER: Final = Manner()


class Epochs(Enum):
    """What may become of the rooms that keep."""

    SAME = "the same"
    NEW = "new"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Fault:
    """``shows`` is what it is about, in a line. ``nobody_dies``: no node may be taken for dead in it.

    ``forgets``: Redis loses what it was told. The revocation is made before that then, else in the middle.
    """

    name: str
    shows: str
    do: Callable[[World], Awaitable[None]]
    setup: Setup = PLAIN_SETUP
    epochs: Epochs = Epochs.SAME
    nobody_dies: bool = True
    forgets: bool = False
    long: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """``counts`` is what clients saw, ``settled_s`` how long after its end all was well again."""

    fault: Fault
    seed: int
    seconds: float
    settled_s: float
    counts: Mapping[str, int]
    broken: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not self.counts.get("broken", 0)


async def carry_out(fault: Fault, seed: int, manner: Manner = PLAIN_MANNER) -> Outcome:
    """Do it, and see. Raises ServerFailedError where what it needs does not start."""
    account, began, settled_s = Account(), time.monotonic(), 0.0
    try:
        async with running_world(fault.setup, account, seed, manner) as world:
            await asyncio.sleep(_WARM_UP_S)
            before = await world.figures()
            revoked = asyncio.create_task(world.revoke())
            try:
                if fault.forgets:
                    await revoked
                await fault.do(world)
                ended = time.monotonic()
                await revoked
            finally:
                revoked.cancel()
            await settle(world)
            settled_s = time.monotonic() - ended
            await check(world)
            account.close()
            _judge(fault, account, before, await world.figures())
    except NotSettledError as error:
        account.breaks(str(error))
    seconds = time.monotonic() - began
    return Outcome(fault, seed, seconds, settled_s, dict(account.counts), tuple(account.broken))


def _judge(fault: Fault, account: Account, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    def grown(name: str) -> int:
        return round(after.get(name, 0.0) - before.get(name, 0.0))

    account.counts["connections lost"] = max(0, grown("wsprism_redis_connections_lost_total"))
    account.counts["fenced"] = max(0, grown("wsprism_node_fenced_total"))
    account.counts["reaped"] = max(0, grown("wsprism_node_reaped_entries_total"))
    if fault.nobody_dies and account.counts["fenced"] + account.counts["reaped"]:
        account.breaks(
            f"a node was taken for dead: {account.counts['fenced']} fenced, {account.counts['reaped']} reaped"
        )
    epochs: dict[str, set[str]] = defaultdict(set)
    for room, epoch, _ in account.log:
        epochs[room].add(epoch)
    account.counts["epochs"] = max(map(len, epochs.values()), default=0)
    if fault.epochs is Epochs.SAME and account.counts["epochs"] > 1:
        account.breaks(f"an epoch has ended that need not have: {dict(epochs)}")
    if fault.epochs is Epochs.NEW and min(map(len, epochs.values()), default=0) < 2:
        account.breaks(f"an epoch goes on though acknowledged publications may be lost: {dict(epochs)}")
