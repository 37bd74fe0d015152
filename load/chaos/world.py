"""The processes that are broken and the clients that live through it, for whoever breaks them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from hiredis import HiredisError

from load.chaos.account import Account
from load.chaos.clients import HERE, PIT, Contender, Member, Outlaw
from load.chaos.nodes import Node
from load.proxy import Proxy
from load.redis_server import RedisServer

__all__ = ["MOST_IN_PIT", "MOST_SESSIONS", "OUTLAW", "Manner", "NotSettledError", "Setup", "World"]

MOST_SESSIONS: Final = 9
MOST_IN_PIT: Final = 3
"""Of the tenant in which there is too little room."""

_SETTLED_WITHIN_S: Final = 60.0
_LOOKED_EVERY_S: Final = 0.1
_REVOKED_WITHIN_S: Final = 90.0
"""Redis may be away for all of a fault."""

_AT_ONCE: Final = 20
OUTLAW: Final = "mallory"


class NotSettledError(Exception):
    """Something that must come did not come; it says what."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is started. ``proxied``: each node reaches Redis through a network of its own that can be broken."""

    redis: tuple[str, ...] = ()
    nodes: int = 2
    lease_ms: int = 3000
    proxied: bool = False
    sentinel: bool = False
    one_name: bool = False
    workers: int = 1
    """Of each node."""
    on_isolation: str = "close"
    interval_s: float = 0.2
    """Between two publications of a member in a room."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How any fault is done: ``server`` is the program, Redis or Valkey; ``slack_s`` is what a busy machine may take
    longer for what is promised within a time.
    """

    server: str = "redis-server"
    slack_s: float = 1.0


class World:
    """Everything that runs, for whoever breaks it."""

    def __init__(self, setup: Setup, account: Account, seed: int, manner: Manner) -> None:
        self.setup = setup
        self.manner = manner
        self.account = account
        self.chance = random.Random(seed)
        self.nodes: list[Node] = []
        self.proxies: list[Proxy] = []
        self.servers: list[RedisServer] = []
        self.redis: RedisServer
        """The primary of now."""
        self.members: list[Member] = []
        self.contenders: list[Contender] = []
        self.outlaws: list[Outlaw] = []
        self.session: aiohttp.ClientSession
        self.quiet = asyncio.Event()

    def alive(self) -> list[Node]:
        return [one for one in self.nodes if one.alive]

    def prefix(self, tenant: str) -> str:
        """Of its keys."""
        return f"wsprism:{{{tenant}}}:"

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], within_s: float = _SETTLED_WITHIN_S
    ) -> float:
        """Wait for what tells nobody; the seconds that it took. Raises NotSettledError."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(OSError, TimeoutError, HiredisError, aiohttp.ClientError):
                if await holds():
                    return time.monotonic() - began
            if time.monotonic() - began > within_s:
                raise NotSettledError(f"{what}: not within {within_s:g} s")
            await asyncio.sleep(0.05)

    async def revoke(self) -> None:
        """Lock the outlaw out, by whichever node can."""

        async def done() -> bool:
            node = self.chance.choice(self.alive())
            status, _ = await node.call(self.session, "POST", "/tenants/acme/revoke", {"user": f"user:{OUTLAW}"})
            return status == 200

        await self.until("a revocation", done, within_s=_REVOKED_WITHIN_S)
        await asyncio.sleep(0.5)  # what was opened before it is closed now
        for outlaw in self.outlaws:
            outlaw.banned = True

    async def goes_on(self, for_s: float) -> None:
        """Wait, and see that a node without Redis does meanwhile what needs none."""
        before = dict(self.account.counts)
        await asyncio.sleep(for_s)
        for what in ("hot heard", f"heard in {HERE}"):
            if self.account.counts[what] == before.get(what, 0):
                self.account.breaks(f"for {for_s:g} s without Redis nothing was {what}")

    async def publish_as_backend(self, node: Node, room: str, times: int, size_bytes: int) -> None:
        """Large publications that nobody waits for, by the API of a node."""

        async def publish() -> None:
            text = f"backend.{self.chance.randrange(10**12)}".ljust(size_bytes, ".")
            body = {"svc": "chat", "type": "msg", "data": {"msg": text}}
            await node.call(self.session, "POST", f"/tenants/acme/rooms/{room}/publish", body)

        for _ in range(times // _AT_ONCE):
            await asyncio.gather(*(publish() for _ in range(_AT_ONCE)))

    async def figures(self) -> dict[str, float]:
        """Of all nodes that live, together."""
        found: dict[str, float] = {}
        for node in self.alive():
            for name, value in (await node.metrics(self.session)).items():
                found[name] = found.get(name, 0.0) + value
        return found

    async def look(self) -> None:
        """All the while: no limit is exceeded. Until it is cancelled."""
        tight = self.prefix("tight")
        while True:
            with contextlib.suppress(OSError, TimeoutError, HiredisError):
                sessions, inside = (
                    await self.redis.ask("HLEN", f"{tight}s"),
                    await self.redis.ask("HLEN", f"{tight}u:{PIT}"),
                )
                if sessions > MOST_SESSIONS or inside > MOST_IN_PIT:
                    self.account.breaks(f"a limit is exceeded: {sessions} sessions, {inside} users in a room")
                self.account.counts["looks"] += 1
                too_many = sum(one.inside for one in self.contenders) - MOST_IN_PIT
                self.account.counts["over a limit"] = max(self.account.counts["over a limit"], too_many)
            await asyncio.sleep(_LOOKED_EVERY_S)
