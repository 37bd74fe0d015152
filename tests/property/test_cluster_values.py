"""Values of rooms over nodes under random interleavings, on a manual clock, against the model of the broker.

Whatever arrives late or is lost: a change that was acknowledged has happened once, a refused one never;
whoever follows the protocol knows in the end what the broker has, and so does every node with members.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.cluster_model import Cluster
from tests.examples import examples
from tests.property.cluster_rules import PICK, NodesMachine
from tests.realtime_support import Peer
from wsprism.realtime.messages import RulesChanged
from wsprism.realtime.rules import TenantRules
from wsprism.services import StateService

ACK = 4
PLAIN, KEEPING = "plain", "kept"
ROOM = st.sampled_from([PLAIN, KEEPING])


@dataclass
class View:
    """What a member knows. ``lacks``: it has missed a change, and waits for the whole."""

    version: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    lacks: bool = False


@dataclass(eq=False)
class Client:
    peer: Peer
    node: int
    views: dict[str, View] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)


class ValuesMachine(NodesMachine):
    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.clients: list[Client] = []
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self.whole: dict[int, TenantRules] = {}

    @initialize(nodes=st.integers(2, 3))
    def start(self, nodes: int) -> None:
        self.cluster = Cluster(
            nodes,
            rooms=[{"match": KEEPING, "history": {"max_messages": 6, "recover_max_messages": 4}}],
            ext={"board": StateService()},
            services={"ext": {"board": {"kind": "state", "max_keys": 2}}},
            policy={"ext_allowlist": ["room:*", "chat:*", "board:*"]},
        )
        for node in range(nodes):
            self.connect(node)
            self.join(node, KEEPING)
            self.join(node, PLAIN)
        self.settle()

    @precondition(lambda self: len(self.clients) < 6)
    @rule(pick=PICK)
    def connect(self, pick: int) -> None:
        node, number = self.node(pick), next(self.numbers)
        peer = self.run(self.cluster.open(node, f"u{number}", f"s{number}"))
        assert isinstance(peer, Peer)
        peer.heard()
        self.clients.append(Client(peer, node))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM)
    def join(self, pick: int, room: str) -> None:
        self.tell(pick, "room", "join", room)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM)
    def leave(self, pick: int, room: str) -> None:
        self.tell(pick, "room", "leave", room)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM, key=st.sampled_from("abc"), times=st.sampled_from([1, 1, 3]), seen=st.booleans())
    def set(self, pick: int, room: str, key: str, times: int, seen: bool) -> None:
        client = self.clients[pick % len(self.clients)]
        for _ in range(times):
            seq = next(self.numbers)
            value = client.said[seq] = f"v{seq}"
            data = {"key": key, "value": value}
            view = client.views.get(room)
            self.tell(pick, "board", "set", room, seq, data | ({"if_version": view.version} if seen and view else {}))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM, key=st.sampled_from("abc"))
    def delete(self, pick: int, room: str, key: str) -> None:
        self.tell(pick, "board", "delete", room, data={"key": key})

    def tell(
        self, pick: int, svc: str, kind: str, room: str, seq: int | None = None, data: dict[str, Any] | None = None
    ) -> None:
        message: dict[str, Any] = {"v": 1, "svc": svc, "type": kind, "room": room}
        message |= {} if seq is None else {"seq": seq, "flags": ACK}
        self.clients[pick % len(self.clients)].peer.say(message if data is None else message | {"data": data})

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        client = self.clients.pop(pick % len(self.clients))
        self.hear(client)
        client.peer.vanish()

    @rule(pick=PICK, room=ROOM)
    def crash(self, pick: int, room: str) -> None:
        self.crash_room(self.node(pick), room)

    @precondition(lambda self: len(self.dead) + 1 < len(self.cluster.worlds))
    @rule(pick=PICK, executed=st.integers(0, 3))
    def kill_node(self, pick: int, executed: int) -> None:
        node = self.node(pick)
        for client in [one for one in self.clients if one.node == node]:
            self.hear(client)
            self.clients.remove(client)
        self.kill(node, executed)

    @rule(pick=PICK, has=st.booleans())
    def reload(self, pick: int, has: bool) -> None:
        """A configuration with the service, or without it; nodes may have different ones for a while."""
        self.configure(self.node(pick), has)

    def configure(self, node: int, has: bool) -> None:
        tenant = self.cluster.worlds[node].tenant
        whole = self.whole.setdefault(node, tenant.rules)
        ext = {name: one for name, one in whole.services.ext.items() if name != "board"}
        without = replace(whole, values={}, services=replace(whole.services, ext=ext))
        tenant.apply(whole if has else without)
        tenant.ref.tell_control(RulesChanged())
        self.cluster.scheduler.run_until_idle()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.5]))
    def pass_time(self, seconds: float) -> None:
        self.cluster.scheduler.advance(seconds)

    @rule()
    def settle(self) -> None:
        """All that is on its way arrives; who is away stays away."""
        self.cluster.settle()
        for client in self.clients:
            self.hear(client)

    def hear(self, client: Client) -> None:
        for message in client.peer.heard():
            assert isinstance(message, dict)
            self.one(client, message)
        assert client.peer.closed_with() is None

    def one(self, client: Client, message: dict[str, Any]) -> None:
        kind, room, data = message["type"], str(message.get("room")), message.get("data") or {}
        if kind == "joined":
            client.views[room] = View()
        elif kind == "left":
            client.views.pop(room, None)
        elif kind == "state":
            entries = {key: (one["version"], one["value"]) for key, one in data["entries"].items()}
            client.views[room] = View(data["version"], entries)
        elif kind == "changed":
            view = client.views[room]
            if data["version"] == view.version + 1:
                view.version = data["version"]
                view.values.pop(data["key"], None)
                if "value" in data:
                    view.values[data["key"]] = data["version"], data["value"]
            elif data["version"] > view.version:
                view.lacks = True
        elif kind == "ack":
            self.acked.add(client.said.pop(message["seq"]))
        elif kind == "error" and message.get("seq") in client.said:
            assert data["code"] in ("UNAVAILABLE", "NOT_ALLOWED", "RESOURCE_EXHAUSTED", "UNKNOWN_SERVICE")
            self.refused.add(client.said.pop(message["seq"]))

    def teardown(self) -> None:
        try:
            self.heal()
        finally:
            self.end()

    def heal(self) -> None:
        """At the end everything is reachable again."""
        if not hasattr(self, "cluster"):
            return
        cluster = self.cluster
        for node in self.alive:
            cluster.brokers[node].come_again()
        cluster.scheduler.advance(self.crashes * 1.5)  # a room that crashes often is restarted ever later
        for _ in range(2):
            cluster.settle()
            cluster.scheduler.advance(3.0)
            for node in self.alive:
                cluster.brokers[node].check_positions()
        for node in self.alive:
            self.configure(node, has=True)
        self.settle()
        for client in self.clients:
            for room in list(client.views):
                client.peer.chat("a turn of the room", room=room)
        self.settle()
        for client in self.clients:
            assert not client.said, "every change was acknowledged or refused"
            for room, view in client.views.items():
                kept = cluster.redis.values.of(room, "board")
                values = {key: (one.version, msgspec.json.decode(one.data)) for key, one in kept.entries.items()}
                assert view == View(kept.version, values), (room, view, kept)
        for node in self.alive:
            tenant = cluster.worlds[node].tenant
            for room in tenant.registry.rooms:
                assert tenant.values.of(room, "board").is_same(cluster.redis.values.of(room, "board"))
        log = [one[3] for one in cluster.redis.log]
        assert all(sum(b'"value":"%b"' % value.encode() in one for one in log) == 1 for value in self.acked)
        assert not any(b'"value":"%b"' % value.encode() in one for value in self.refused for one in log)
        assert cluster.redis.values.keys <= 2 * len((PLAIN, KEEPING))
        self.only_crashes_failed()


TestClusterValues = ValuesMachine.TestCase
TestClusterValues.settings = settings(max_examples=examples(60), stateful_step_count=50, deadline=None)
