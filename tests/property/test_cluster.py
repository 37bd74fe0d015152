"""Rooms over nodes under random interleavings, on a manual clock, against the model of the broker.

Commands, answers and pushes arrive one by one in any order that connections allow; connections, pushes, rooms' actors,
nodes and Redis's data are lost in between. Whatever happens: every member's sequence is complete per epoch or it was
told; an acknowledged publication is in the log once, a refused one never; ``recovered`` says exactly what follows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.cluster_model import Cluster
from tests.examples import examples
from tests.property.cluster_rules import PICK, NodesMachine
from tests.realtime_support import Peer
from wsprism.policy.decisions import Denied
from wsprism.protocol.envelope import JSON
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.tenant.backend_messages import PublishForBackend
from wsprism.realtime.tenant.histories import PurgeForBackend

ACK = 4
PLAIN, KEEPING = "plain", "kept"
ROOM = st.sampled_from([PLAIN, KEEPING, KEEPING])
MOST_KEPT, MOST_RECOVERED = 6, 4
HISTORY = {"max_messages": MOST_KEPT, "recover_max_messages": MOST_RECOVERED}
Since = tuple[str, int]


@dataclass
class Stay:
    """What a member has been told of a room. ``last``: text that it heard last there, in a plain room."""

    epoch: str | None = None
    offset: int = 0
    last: str | None = None
    told: bool = False


@dataclass(eq=False)
class Client:
    peer: Peer
    node: int
    stays: dict[str, Stay] = field(default_factory=dict)
    asked: dict[int, tuple[str, Since | None]] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)


class ClusterMachine(NodesMachine):
    """``ends_with``: the codes that a client may be closed with."""

    ends_with = frozenset({4000})

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.clients: list[Client] = []
        self.places: list[Since] = []
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self.ids: dict[str, str] = {}

    @initialize(nodes=st.integers(2, 3), registry=st.booleans())
    def start(self, nodes: int, registry: bool) -> None:
        self.cluster = self.make_cluster(nodes, registry)
        for node in range(nodes):
            self.connect(node)
            self.join(node, KEEPING, 0, 0, asks=False)
            self.join(node, PLAIN, 0, 0, asks=False)
        self.settle()

    def make_cluster(self, nodes: int, registry: bool) -> Cluster:
        return Cluster(nodes, registry=registry, rooms=[{"match": KEEPING, "history": HISTORY}])

    # Clients

    @precondition(lambda self: len(self.clients) < 6)
    @rule(pick=PICK)
    def connect(self, pick: int) -> None:
        node, number = self.node(pick), next(self.numbers)
        peer = self.run(self.cluster.open(node, f"u{number % 2}", f"s{number}"))
        if isinstance(peer, Peer):
            peer.heard()
            self.clients.append(Client(peer, node))

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM, place=PICK, back=st.integers(0, 3), asks=st.booleans())
    def join(self, pick: int, room: str, place: int, back: int, asks: bool) -> None:
        client, seq = self.clients[pick % len(self.clients)], next(self.numbers)
        self.hear(client)
        if room in client.stays or any(one == room for one, _ in client.asked.values()):
            return
        since: Since | None = None
        if asks and room == KEEPING and self.places:
            epoch, offset = self.places[-1 - place % len(self.places)]
            since = epoch, max(0, offset - back)
        message: dict[str, Any] = {"v": 1, "svc": "room", "type": "join", "room": room, "seq": seq}
        if since is not None:
            message["data"] = {"since": {"epoch": since[0], "offset": since[1]}}
        client.asked[seq] = room, since
        client.peer.say(message)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM)
    def leave(self, pick: int, room: str) -> None:
        self.clients[pick % len(self.clients)].peer.say({"v": 1, "svc": "room", "type": "leave", "room": room})

    @precondition(lambda self: self.clients)
    @rule(pick=PICK, room=ROOM, times=st.sampled_from([1, 1, 2, 5]), id=st.sampled_from([None, None, "x", "y"]))
    def say(self, pick: int, room: str, times: int, id: str | None) -> None:
        client = self.clients[pick % len(self.clients)]
        for _ in range(times):
            seq = next(self.numbers)
            text = client.said[seq] = f"t{seq}"
            fields: dict[str, Any] = {} if id is None else {"id": id}
            if id is not None:
                self.ids[text] = f"{client.peer.session.user} {id}"
            client.peer.chat(text, room=room, seq=seq, flags=ACK, **fields)

    @precondition(lambda self: self.clients)
    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        client = self.clients.pop(pick % len(self.clients))
        self.hear(client)
        client.peer.vanish()

    @rule(pick=PICK, room=ROOM)
    def publish_as_backend(self, pick: int, room: str) -> None:
        text = f"b{next(self.numbers)}"
        publication = ExtPublication("chat", "msg", JSON.encode({"msg": text}))

        def answered(answer: object) -> None:
            (self.refused if isinstance(answer, Denied) else self.acked).add(text)

        self.ask(self.node(pick), PublishForBackend(room, (publication,)), answered)

    @rule(pick=PICK)
    def purge(self, pick: int) -> None:
        self.ask(self.node(pick), PurgeForBackend(KEEPING))

    # What arrives, and what is lost

    @rule(pick=PICK, room=ROOM)
    def crash(self, pick: int, room: str) -> None:
        self.crash_room(self.node(pick), room)

    @precondition(lambda self: len(self.dead) + 1 < len(self.cluster.worlds))
    @rule(pick=PICK, executed=st.integers(0, 3))
    def kill_node(self, pick: int, executed: int) -> None:
        node = self.node(pick)
        for client in [one for one in self.clients if one.node == node]:
            self.hear(client)
        self.clients = [one for one in self.clients if one.node != node]
        self.kill(node, executed)

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.5]))
    def pass_time(self, seconds: float) -> None:
        self.cluster.scheduler.advance(seconds)

    @rule()
    def settle(self) -> None:
        """All that is on its way arrives; who is away stays away."""
        self.cluster.settle()
        for client in list(self.clients):
            self.hear(client)

    # What was heard

    def hear(self, client: Client) -> None:
        """Everything that a client has heard since the last look is true."""
        for message in client.peer.heard():
            if isinstance(message, dict):
                self.one(client, message)
        closed = client.peer.closed_with()
        if closed is not None and client in self.clients:
            assert closed[0] in self.ends_with
            self.clients.remove(client)

    def one(self, client: Client, message: dict[str, Any]) -> None:
        kind, room, data = message["type"], message.get("room"), message.get("data") or {}
        if kind == "joined":
            self.joined(client, message["seq"], data)
        elif kind == "left":
            client.stays.pop(str(room), None)
        elif kind == "gap":
            stay = client.stays[str(room)]
            assert bool(data) == (room == KEEPING)
            stay.epoch, stay.offset, stay.told = data.get("epoch"), data.get("offset", 0), True
        elif kind == "msg":
            self.heard_message(client.stays[str(room)], str(room), message)
        elif kind == "ack":
            self.acked.add(client.said.pop(message["seq"]))
        elif kind == "error" and message.get("seq") is not None:
            seq = message["seq"]
            assert data["code"] in ("UNAVAILABLE", "NOT_ALLOWED"), message
            if seq in client.asked:
                assert data["code"] == "UNAVAILABLE"
                del client.asked[seq]
            elif seq in client.said:
                self.refused.add(client.said.pop(seq))

    def joined(self, client: Client, seq: int, data: dict[str, Any]) -> None:
        room, since = client.asked.pop(seq)
        stay = client.stays[room] = Stay(data.get("epoch"), data.get("offset", 0))
        if room == PLAIN:
            assert set(data) == {"number"}
        elif since is not None:
            epoch, offset = since
            if epoch == stay.epoch:
                assert offset <= stay.offset, "it has seen more than this room has"
            missed = stay.offset - offset
            expected = epoch == stay.epoch and missed <= min(MOST_KEPT, MOST_RECOVERED)
            assert data["recovered"] == expected, (since, data)
            assert data["count"] == (missed if expected else 0)
            if expected:
                stay.offset = offset

    def heard_message(self, stay: Stay, room: str, message: dict[str, Any]) -> None:
        text = message["data"]["msg"]
        log = self.cluster.redis.log
        if room == KEEPING:
            assert message["offset"] == stay.offset + 1, (stay, message)
            stay.offset += 1
            assert stay.epoch is not None
            self.places.append((stay.epoch, stay.offset))
            (payload,) = [one[3] for one in log if one[:3] == (room, stay.epoch, stay.offset)]
            assert b'"msg":"%b"' % text.encode() in payload
        else:
            texts = self.ordered(room)
            if stay.last is not None and not stay.told:
                assert texts.index(text) == texts.index(stay.last) + 1, (stay, text)
            stay.last, stay.told = text, False

    def ordered(self, room: str) -> list[str]:
        """Texts in the order of the log."""
        return [one[3].split(b'"msg":"')[1].split(b'"')[0].decode() for one in self.cluster.redis.log if one[0] == room]

    def teardown(self) -> None:
        try:
            self.heal()
        finally:
            self.end()

    def heal(self) -> None:
        """At the end everything is reachable again: whoever is a member hears what is said now, behind all else."""
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
        cluster.settle()
        for room in (PLAIN, KEEPING):
            self.publish_as_backend(self.node(0), room)
        cluster.settle()
        self.run(asyncio.sleep(0))
        for client in list(self.clients):
            self.hear(client)
        for client in self.clients:
            assert not client.asked, "every join was answered"
            assert not client.said, "every publication was acknowledged or refused"
            for room, stay in client.stays.items():
                if room == KEEPING:
                    history = cluster.redis.rooms[room].history
                    assert (stay.epoch, stay.offset) == (history.epoch, history.top)
                else:
                    assert stay.last == self.ordered(room)[-1]
        texts = [text for room in (PLAIN, KEEPING) for text in self.ordered(room)]
        assert len(set(texts)) == len(texts), "nothing is in the log twice"
        by_id = {self.ids[text] for text in texts if text in self.ids}
        assert all(text in texts or self.ids.get(text) in by_id for text in self.acked)
        assert not self.refused & set(texts), "what was refused is not in the log"
        if cluster.redis.registries:
            self.counts_are_exact()
        for node in self.alive:
            registry = cluster.worlds[node].tenant.registry
            assert all(entry.roster for entry in registry.rooms.values())
            assert not registry.emptied, "a room without members ends"
        self.only_crashes_failed()


TestCluster = ClusterMachine.TestCase
TestCluster.settings = settings(max_examples=examples(120), stateful_step_count=60, deadline=None)
