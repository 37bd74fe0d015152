"""Presence over nodes under random interleavings: at any quiet moment every picture equals who is in the room.

Words, pushes and pages arrive one by one; connections, pushes, rooms' actors, nodes and Redis's data are lost in
between, and nodes are taken for dead that live.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.cluster_model import Cluster
from tests.examples import examples
from tests.property.cluster_rules import PICK, NodesMachine
from tests.property.test_presence_room import Picture, apply, by_sid
from tests.realtime_support import Peer
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, RemoveForBackend, Who
from wsprism.realtime.tenant.presences import PresenceForBackend

STATE = st.one_of(st.none(), st.integers(0, 2))


class Client:
    """One that keeps a picture as docs/rooms.md tells it to. ``state`` is what it has shown last."""

    def __init__(self, peer: Peer, node: int) -> None:
        self.peer, self.node = peer, node
        self.picture: Picture | None = None
        self.inside = False
        self.asked: dict[str, Any] | None = None
        self.state: Any = msgspec.UNSET

    def hear(self) -> None:
        for message in self.peer.heard():
            if not isinstance(message, dict):
                continue
            kind, data = message["type"], message.get("data") or {}
            if kind == "joined":
                assert self.asked is not None
                asked, self.asked = self.asked, None
                if "state" in asked or not self.inside:
                    self.state = asked.get("state", msgspec.UNSET)
                self.inside = True
                told = data.get("presence")
                assert (told is not None) == asked["presence"]
                self.picture = None if told is None else by_sid(told["users"])
                if self.picture is not None:
                    assert self.peer.session.sid in self.picture[self.peer.session.user], "itself included"
            elif kind == "presence_diff":
                assert self.picture is not None, "told without having asked"
                apply(self.picture, data)
            elif kind == "left":
                self.inside, self.picture = False, None
            elif kind == "error" and data["code"] == "UNAVAILABLE":
                self.asked = None


class PresenceMachine(NodesMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clients: list[Client] = []

    @initialize(nodes=st.integers(2, 3), linger=st.booleans(), history=st.booleans())
    def start(self, nodes: int, linger: bool, history: bool) -> None:
        self.linger = linger
        room: dict[str, Any] = {"match": "r", "presence": {"enabled": True, "linger_ms": 1250 if linger else 0}}
        rooms = [room | ({"history": {}} if history else {})]
        self.cluster = Cluster(nodes, registry=True, rooms=rooms)
        for node in range(nodes):
            self.connect(node, node)
            self.join(node, True, None)
        self.settle()

    def client(self, pick: int) -> Client:
        return self.clients[pick % len(self.clients)]

    # Clients

    @rule(pick=PICK, who=st.integers(0, 5))
    def connect(self, pick: int, who: int) -> None:
        node = self.node(pick)
        peer = self.run(self.cluster.open(node, f"u{who // 2}", f"s{who % 2}"))
        if isinstance(peer, Peer):
            peer.heard()
            self.clients.append(Client(peer, node))
        self.drop_the_closed()

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, asks=st.booleans(), state=STATE)
    def join(self, pick: int, asks: bool, state: int | None) -> None:
        client = self.client(pick)
        client.hear()
        if client.asked is None:
            client.asked = {"presence": asks} | ({} if state is None else {"state": state})
            client.peer.say({"v": 1, "svc": "room", "type": "join", "room": "r", "data": client.asked})

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        self.client(pick).peer.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, state=st.integers(0, 2))
    def show(self, pick: int, state: int) -> None:
        client = self.client(pick)
        client.hear()
        if client.inside and client.asked is None:
            client.state = state
            client.peer.say({"v": 1, "svc": "room", "type": "state", "room": "r", "data": {"state": state}})

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        self.clients.pop(pick % len(self.clients)).peer.vanish()

    @rule(pick=PICK, who=st.integers(0, 5))
    def remove_as_backend(self, pick: int, who: int) -> None:
        self.ask(self.node(pick), RemoveForBackend("r", Who(f"u{who // 2}", f"s{who % 2}")))

    @rule(pick=PICK, who=st.integers(0, 5))
    def disconnect_as_backend(self, pick: int, who: int) -> None:
        self.ask(self.node(pick), DisconnectForBackend(Who(f"u{who // 2}"), None, 4100, "because"))

    def drop_the_closed(self) -> None:
        for client in list(self.clients):
            if client.peer.closed_with() is not None or client.peer.session.ended:
                self.clients.remove(client)

    # What arrives, and what is lost

    @rule(pick=PICK)
    def crash(self, pick: int) -> None:
        self.crash_room(self.node(pick), "r")

    @precondition(lambda self: len(self.dead) + 1 < len(self.cluster.worlds))
    @rule(pick=PICK, executed=st.integers(0, 3))
    def kill_node(self, pick: int, executed: int) -> None:
        node = self.node(pick)
        self.clients = [one for one in self.clients if one.node != node]
        self.kill(node, executed)

    @rule(pick=PICK, executed=st.integers(0, 3))
    def take_for_dead(self, pick: int, executed: int) -> None:
        node = self.node(pick)
        broker = self.cluster.brokers[node]
        broker.lose(executed)
        self.reap(node)
        broker.come_again()
        assert broker.registry is not None
        broker.registry.fence()

    @rule(seconds=st.sampled_from([0.05, 0.3, 0.5, 1.0, 2.5]))
    def pass_time(self, seconds: float) -> None:
        self.cluster.scheduler.advance(seconds)

    @rule()
    def settle(self) -> None:
        self.cluster.settle()

    # What is true

    @rule()
    def quiet(self) -> None:
        """Everything is reachable again, and has had its time."""
        cluster = self.cluster
        alive = self.alive
        for node in alive:
            cluster.brokers[node].come_again()
        cluster.scheduler.advance(self.crashes * 1.5)  # a room that crashes often is restarted ever later
        for _ in range(3):
            cluster.settle()
            cluster.scheduler.advance(3.0)
            for node in alive:
                cluster.brokers[node].check_positions()
        cluster.settle()
        cluster.scheduler.advance(1.0)
        self.run(asyncio.sleep(0))
        self.drop_the_closed()
        expected = {
            (session.user, session.sid)
            for node in alive
            for session in cluster.worlds[node].tenant.registry
            if "r" in session.rooms
        }
        listed = [self.listing(node) for node in alive]
        for one in listed:
            assert one == listed[0]
        assert {(user, sid) for user, some in listed[0].items() for sid in some} == expected
        self.counts_are_exact()
        for client in self.clients:
            client.hear()
            assert client.asked is None, "every join was answered"
            key = client.peer.session.user, client.peer.session.sid
            assert client.inside == (key in expected)
            if client.picture is not None:
                assert client.picture == listed[0]
            if client.inside and not self.linger:
                assert listed[0][key[0]][key[1]].get("state", msgspec.UNSET) == client.state

    def listing(self, node: int) -> Picture:
        async def ask() -> Any:
            answer = asyncio.ensure_future(
                self.cluster.worlds[node].tenant.ref.ask(PresenceForBackend("r"), timeout_s=1e9)
            )
            for _ in range(3):
                await asyncio.sleep(0)
                self.cluster.settle()
            return await answer

        return by_sid(msgspec.json.decode(msgspec.json.encode(self.run(ask())))["users"])

    def teardown(self) -> None:
        try:
            if hasattr(self, "cluster"):
                self.quiet()
                self.only_crashes_failed()
        finally:
            self.end()


TestClusterPresence = PresenceMachine.TestCase
TestClusterPresence.settings = settings(max_examples=examples(80), stateful_step_count=50, deadline=None)
