"""What happens between nodes and their Redis in every test of random interleavings over nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.cluster_model import Cluster

__all__ = ["PICK", "NodesMachine"]

PICK = st.integers(0, 11)


class _Crash:
    """A room takes no such thing."""


_CRASHES = _Crash()


class NodesMachine(RuleBasedStateMachine):
    """``dead``: nodes that are no more. ``crashes``: how often rooms have failed because the test made them."""

    cluster: Cluster

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.dead: set[int] = set()
        self.crashes = 0
        self.asks: list[asyncio.Future[None]] = []

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coro)

    @property
    def alive(self) -> list[int]:
        return [one for one in range(len(self.cluster.worlds)) if one not in self.dead]

    def node(self, pick: int) -> int:
        alive = self.alive
        return alive[pick % len(alive)]

    def crash_room(self, node: int, room: str) -> None:
        entry = self.cluster.worlds[node].tenant.registry.rooms.get(room)
        if entry is not None:
            self.crashes += 1
            entry.ref.tell(_CRASHES)
            self.cluster.scheduler.run_until_idle()

    def ask(self, node: int, question: object, answered: Callable[[Any], object] = lambda _: None) -> None:
        """Its answer comes when it comes."""
        self.begin_ask(node, question, answered)
        self.cluster.scheduler.run_until_idle()

    def begin_ask(self, node: int, question: object, answered: Callable[[Any], object] = lambda _: None) -> None:
        """The same, and nobody has had a turn since."""

        async def ask() -> None:
            answered(await self.cluster.worlds[node].tenant.ref.ask(question, 1e9))

        async def begin() -> None:
            self.asks.append(asyncio.ensure_future(ask()))
            await asyncio.sleep(0)

        self.run(begin())

    def reap(self, node: int) -> None:
        """Others take it for dead."""
        broker = self.cluster.brokers[node]
        if broker.registry is not None:
            broker.registry.reap()
        self.cluster.redis.reap_entries(broker)

    def kill(self, node: int, executed: int) -> None:
        broker = self.cluster.brokers[node]
        broker.lose(executed)
        broker.listening.clear()
        for room in self.cluster.redis.listeners:
            self.cluster.redis.exit(room, broker)
        self.reap(node)
        self.dead.add(node)

    def counts_are_exact(self) -> None:
        """The registry has who is connected and who is a member, and nobody else."""
        redis = self.cluster.redis
        sessions = [session for node in self.alive for session in self.cluster.worlds[node].tenant.registry]
        assert {key for key, _ in redis.sessions.values()} == {session.key for session in sessions}
        members = {(room, session.key) for session in sessions for room in session.rooms}
        assert {(room, key) for room, some in redis.members.items() for key in some} == members

    def end(self) -> None:
        for ask in self.asks:
            ask.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()

    def only_crashes_failed(self) -> None:
        assert all("_Crash" in str(one) for one in self.cluster.failures()), self.cluster.failures()

    @rule(pick=PICK, steps=st.integers(1, 4))
    def redis_does(self, pick: int, steps: int) -> None:
        for _ in range(steps):
            self.cluster.brokers[self.node(pick)].redis_does()

    @rule(pick=PICK, steps=st.integers(1, 4), at_once=st.booleans())
    def node_hears(self, pick: int, steps: int, at_once: bool) -> None:
        for _ in range(steps):
            self.cluster.brokers[self.node(pick)].node_hears()
            if not at_once:
                self.cluster.scheduler.run_until_idle()
        self.cluster.scheduler.run_until_idle()

    @rule(pick=PICK, executed=st.integers(0, 3))
    def lose_connection(self, pick: int, executed: int) -> None:
        self.cluster.brokers[self.node(pick)].lose(executed)

    @rule(pick=PICK)
    def come_again(self, pick: int) -> None:
        self.cluster.brokers[self.node(pick)].come_again()

    @rule(pick=PICK)
    def lose_pushes(self, pick: int) -> None:
        self.cluster.brokers[self.node(pick)].lose_pushes()

    @rule(pick=PICK)
    def check_positions(self, pick: int) -> None:
        self.cluster.brokers[self.node(pick)].check_positions()

    @rule()
    def flush_all(self) -> None:
        self.cluster.redis.flush_all()
