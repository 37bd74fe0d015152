"""Limits are never overshot, whatever clients and backend do in whatever order; at the end nothing is left."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Denied
from wsprism.realtime.messages import TransportLost
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, JoinForBackend, RemoveForBackend, Who

LIMITS = {"max_sessions_total": 12, "max_rooms_total": 3, "max_users_per_room": 4, "max_rooms_per_user": 2}
USERS = [f"u{number}" for number in range(6)]
ROOMS = [f"r{number}" for number in range(5)]
SESSIONS_PER_USER = 3
BACKEND = ["backend_join", "backend_join", "backend_remove", "backend_disconnect"]


class Driver:
    """Carries out steps without letting the actors settle in between, so that messages interleave."""

    def __init__(self, on_exceed: str) -> None:
        policy = {"sessions": {"max_sessions_per_user": SESSIONS_PER_USER, "on_exceed": on_exceed}}
        self.world = World(limits=LIMITS, policy=policy)
        self.peers: list[Peer] = []

    async def step(self, kind: str, user: str, room: str, pick: int) -> None:
        world = self.world
        if kind == "connect":
            opened = await world.ask(user)
            if not isinstance(opened, Denied):
                self.peers.append(world.attach(opened.session))
        elif kind.startswith("backend"):
            who = Who(user)
            world.tenant.ref.tell(
                {
                    "backend_join": JoinForBackend(room, who),
                    "backend_remove": RemoveForBackend(room, who),
                    "backend_disconnect": DisconnectForBackend(who, None, 4500, "out"),
                }[kind]
            )
        elif self.peers:
            peer = self.peers[pick % len(self.peers)]
            connection = peer.session.connection
            if kind == "vanish":
                peer.session.outlet.lost()
                connection.deliver([TransportLost("gone")])
                self.peers.remove(peer)
            else:
                connection.deliver([f'{{"v":1,"svc":"room","type":"{kind}","room":"{room}"}}'])
        if pick % 3 == 0:
            world.scheduler.run_once()
        self.check()

    def check(self) -> None:
        registry = self.world.tenant.registry
        assert len(registry) <= LIMITS["max_sessions_total"]
        assert len(registry.rooms) <= LIMITS["max_rooms_total"]
        for user in USERS:
            assert len(registry.of_user(user)) <= SESSIONS_PER_USER
            assert registry.rooms_of_user(user) <= LIMITS["max_rooms_per_user"]
        for entry in registry.rooms.values():
            assert 0 < len(entry.users) <= LIMITS["max_users_per_room"]

    def check_settled(self) -> None:
        """What the rooms and connections believe is what the tenant counted."""
        self.world.settle()
        self.check()
        for entry in self.world.tenant.registry.rooms.values():
            assert set(entry.roster) == set(entry.sessions)
        for session in self.world.tenant.registry:
            connection: Any = session.connection
            assert set(connection._actor.rooms) == set(session.rooms)
            assert connection._actor.active_room == session.active_room
            assert connection._actor.pending is None

    def end(self) -> None:
        for peer in self.peers:
            peer.session.outlet.lost()
            peer.session.connection.deliver([TransportLost("gone")])
        self.world.settle()
        assert (self.world.tenant.sessions, self.world.tenant.rooms) == (0, 0)
        assert not self.world.failures
        lanes = self.world.tenant.counters.lanes
        assert list(lanes.queued) == [0, 0, 0]


steps = st.lists(
    st.tuples(
        st.sampled_from(["connect", "connect", "join", "join", "join", "leave", "vanish", *BACKEND]),
        st.sampled_from(USERS),
        st.sampled_from(ROOMS),
        st.integers(0, 10_000),
    ),
    max_size=60,
)


@given(steps, st.sampled_from(["deny", "kick_oldest"]))
@settings(max_examples=examples(60), deadline=None)
def test_no_order_of_steps_exceeds_a_limit(script: list[tuple[str, str, str, int]], on_exceed: str) -> None:
    async def run() -> None:
        driver = Driver(on_exceed)
        for step in script:
            await driver.step(*step)
        driver.check_settled()
        driver.end()

    asyncio.run(run())


@pytest.mark.parametrize("on_exceed", ["deny", "kick_oldest"])
async def test_thousands_of_joins_and_leaves_never_exceed_a_limit(on_exceed: str) -> None:
    dice = random.Random(7)
    driver = Driver(on_exceed)
    kinds: list[Any] = ["connect"] + ["join"] * 6 + ["leave"] * 3 + ["vanish", *BACKEND]
    for _ in range(6000):
        await driver.step(dice.choice(kinds), dice.choice(USERS), dice.choice(ROOMS), dice.randrange(10_000))
    driver.check_settled()
    driver.end()
