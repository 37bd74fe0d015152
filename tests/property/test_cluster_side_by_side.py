"""Rooms over nodes in whose turns things of several nodes stand side by side, on a manual clock.

Everything of ``test_cluster``, and beside it: hot frames, and sessions that are put out or ended by the backend while
what they have said waits. Nobody has a turn before all of it is there, so that one turn of a room holds all of it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.cluster_model import Cluster
from tests.examples import examples
from tests.property.cluster_rules import PICK
from tests.property.test_cluster import ACK, HISTORY, KEEPING, PLAIN, Client, ClusterMachine
from wsprism.protocol.hot import encode_hot
from wsprism.realtime.room.hot_exchange import HOT_TICK_S
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, RemoveForBackend, Who

ACTS = ("hot", "hear", "remove", "say", "hear", "disconnect", "redis", "leave")


class SideBySideMachine(ClusterMachine):
    ends_with = ClusterMachine.ends_with | {4100}

    def make_cluster(self, nodes: int, registry: bool) -> Cluster:
        snapshot: dict[str, Any] = {"snapshot": {}}
        rooms = [{"match": KEEPING, "history": HISTORY} | snapshot, {"match": PLAIN} | snapshot]
        return Cluster(nodes, registry=registry, rooms=rooms, qos={"conflate": "sender_opcode"})

    def all_are_there(self) -> None:
        """Everything is reachable, and each node has a member in each room."""
        for node in self.alive:
            self.cluster.brokers[node].come_again()
        self.settle()
        for node in self.alive:
            if not any(one.node == node and one.peer.session.rooms for one in self.clients):
                self.connect(self.alive.index(node))
                for room in (KEEPING, PLAIN):
                    self.join(len(self.clients) - 1, room, 0, 0, asks=False)
        self.settle()

    @rule(pick=PICK, acts=st.permutations(ACTS), most=st.integers(3, len(ACTS)), hot=st.booleans())
    def side_by_side(self, pick: int, acts: list[str], most: int, hot: bool) -> None:
        """All of it has happened to a member and its node before anybody has a turn.

        ``hot``: what all the others have said meanwhile is on its way to this node.
        """
        if hot:
            self.all_are_there()
        members = [one for one in self.clients if one.peer.session.rooms]
        if not members:
            return
        client = members[pick % len(members)]
        if hot:
            for other in members:
                if other is not client:
                    self.begin("hot", other)
            self.cluster.scheduler.advance(HOT_TICK_S)
            self.cluster.settle(but=self.cluster.brokers)
        for act in acts[:most]:
            self.begin(act, client)
        self.cluster.scheduler.run_until_idle()

    def begin(self, act: str, client: Client) -> None:
        session, broker = client.peer.session, self.cluster.brokers[client.node]
        room = session.active_room or PLAIN
        who = Who(session.user, session.sid)
        if act == "hot":
            session.connection.deliver([encode_hot(2, 1 + next(self.numbers) % 2, b"hot")])
        elif act == "say":
            seq = next(self.numbers)
            text = client.said[seq] = f"t{seq}"
            data = {"msg": text}
            self.deliver(client, {"svc": "chat", "type": "send", "seq": seq, "flags": ACK, "data": data}, room)
        elif act == "leave":
            self.deliver(client, {"svc": "room", "type": "leave"}, room)
        elif act == "hear":
            broker.node_hears()
        elif act == "redis":
            broker.redis_does()
        elif act == "remove":
            self.begin_ask(client.node, RemoveForBackend(room, who))
        else:
            self.begin_ask(client.node, DisconnectForBackend(who, None, 4100, "because"))

    def deliver(self, client: Client, message: dict[str, Any], room: str) -> None:
        client.peer.session.connection.deliver([client.peer.encoded({"v": 1, "room": room, **message})])


TestClusterSideBySide = SideBySideMachine.TestCase
TestClusterSideBySide.settings = settings(max_examples=examples(200), stateful_step_count=40, deadline=None)
