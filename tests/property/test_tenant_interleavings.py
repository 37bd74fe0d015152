"""A tenant between its steps: whatever its clients, its backend and its operator do while turns are still due and
mailboxes are full, no limit is overshot at any moment, order holds, and in the end nobody stays who has gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.examples import examples
from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Denied
from wsprism.policy.revocation import Revocable
from wsprism.protocol.websocket import CloseReceived
from wsprism.realtime.messages import Attached, Revoke, TransportLost
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, JoinForBackend, RemoveForBackend, Who

USERS = st.sampled_from(["ann", "bob", "cat"])
ROOMS = st.sampled_from(["r1", "r2", "r3"])
PICKS = st.integers(0, 59)
LIMITS = {"max_sessions_total": 5, "max_rooms_total": 2, "max_users_per_room": 2, "max_rooms_per_user": 2}
MORE_THAN_A_MAILBOX = 1500


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.peers: list[Peer] = []
        self.gone: list[Peer] = []
        self.asked: list[asyncio.Future[object]] = []
        self.numbers: Iterator[int] = count()
        self.said_by: dict[int, Peer] = {}

    @initialize(membership=st.booleans())
    def start(self, membership: bool) -> None:
        policy = {
            "sessions": {"max_sessions_per_user": 2, "on_exceed": "kick_oldest"},
            "publish_requires_membership": membership,
        }
        self.world = World(limits=LIMITS, policy=policy, qos={"reliable_max_messages": 10**6, "hot_max_frames": 10**5})
        for user in ("ann", "bob"):
            self.connect(user, None)
            self.say(0, "room", "join", "r1")

    def ask(self, question: object) -> asyncio.Future[object]:
        async def ask() -> asyncio.Future[object]:
            asked = asyncio.ensure_future(self.world.tenant.ref.ask(question, 60.0))
            await asyncio.sleep(0)
            return asked

        return self.loop.run_until_complete(ask())

    # What happens, with no turn of its own

    @rule(user=USERS, sid=st.sampled_from([None, "s1"]))
    def connect(self, user: str, sid: str | None) -> None:
        opened = self.loop.run_until_complete(self.world.ask(user, sid))
        if not isinstance(opened, Denied):
            peer = Peer(self.world, opened.session)
            opened.session.connection.deliver_control(Attached(peer.transport))
            self.peers.append(peer)

    @rule(turns=st.integers(1, 6))
    def turns(self, turns: int) -> None:
        for _ in range(turns):
            self.world.scheduler.run_once()

    @precondition(lambda self: self.peers)
    @rule(pick=PICKS, kind=st.sampled_from(["join", "leave"]), room=ROOMS)
    def enter_or_leave(self, pick: int, kind: str, room: str) -> None:
        self.say(pick, "room", kind, room)

    @precondition(lambda self: self.peers)
    @rule(pick=PICKS, room=st.none() | ROOMS, times=st.sampled_from([1, 3, 100, MORE_THAN_A_MAILBOX]))
    def chat(self, pick: int, room: str | None, times: int) -> None:
        self.say(pick, "chat", "send", room, times)

    def say(self, pick: int, svc: str, kind: str, room: str | None, times: int = 1) -> None:
        message = {"v": 1, "svc": svc, "type": kind} | ({"room": room} if room is not None else {})
        peer = self.peers[pick % len(self.peers)]
        if svc != "chat":
            peer.session.connection.deliver([json.dumps(message)])
            return
        said = [next(self.numbers) for _ in range(times)]
        self.said_by.update(dict.fromkeys(said, peer))
        peer.session.connection.deliver([json.dumps(message | {"data": {"msg": str(one)}}) for one in said])

    @precondition(lambda self: self.peers)
    @rule(pick=PICKS, how=st.sampled_from(["vanishes", "closes", "fills its mailbox and vanishes"]))
    def end(self, pick: int, how: str) -> None:
        peer = self.peers.pop(pick % len(self.peers))
        connection = peer.session.connection
        if how == "closes":
            connection.deliver([CloseReceived(1000, "bye")])
        elif how != "vanishes":
            while connection.tell(b"\x01\x01\x00x"):
                pass
        peer.outlet.lost()
        connection.deliver_control(TransportLost("gone"))
        self.gone.append(peer)

    @rule(user=USERS, room=ROOMS, what=st.sampled_from(["join", "remove", "disconnect", "clear", "revoke"]))
    def backend(self, user: str, room: str, what: str) -> None:
        match what:
            case "join":
                question: object = JoinForBackend(room, Who(user=user))
            case "remove":
                question = RemoveForBackend(room, Who(user=user))
            case "disconnect":
                question = DisconnectForBackend(Who(user=user), None, 4500, "told to")
            case "clear":
                question = DisconnectForBackend(None, room, 4500, "told to")
            case _:
                question = Revoke(Revocable.USER, user, self.world.scheduler.now() - 1)
        self.asked.append(self.ask(question))

    # What holds at any moment

    @invariant()
    def no_limit_is_overshot(self) -> None:
        if not hasattr(self, "world"):
            return
        registry = self.world.tenant.registry
        assert len(registry) <= LIMITS["max_sessions_total"]
        assert len(registry.rooms) <= LIMITS["max_rooms_total"]
        for entry in registry.rooms.values():
            assert len(entry.users) <= LIMITS["max_users_per_room"]
            assert sum(entry.users.values()) == len(entry.sessions) > 0
        for user in ("ann", "bob", "cat"):
            assert registry.rooms_of_user(user) <= LIMITS["max_rooms_per_user"]
            assert len(registry.by_sid(user)) <= 2
        for session in registry:
            assert set(session.rooms) == {name for name, one in registry.rooms.items() if session in one.sessions}

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.everything_settles()
            for peer in self.peers:
                peer.vanish()
            self.world.settle()
            assert (self.world.tenant.sessions, self.world.tenant.rooms) == (0, 0)
            assert self.world.failures == []
            self.loop.run_until_complete(self.world.system.stop(1.0))
        self.loop.close()

    def everything_settles(self) -> None:
        self.world.settle()
        for asked in self.asked:
            assert isinstance(self.loop.run_until_complete(asked), int | Denied)
        registry = self.world.tenant.registry
        for peer in self.gone:
            assert not peer.session.connection.alive, "whoever has gone is gone"
            assert peer.session not in registry.in_order
        for session in registry:
            assert not session.muted
            entries = {name for name, one in registry.rooms.items() if session in one.roster}
            assert entries == set(session.rooms)
        for peer in self.peers:
            for said in self.chats_by_sender(peer).values():
                assert said == sorted(set(said)), "in the order in which they were said, and once"

    def chats_by_sender(self, peer: Peer) -> dict[Peer, list[int]]:
        found: dict[Peer, list[int]] = {}
        for opcode, payload in peer.frames():
            if opcode == 1 and (message := json.loads(payload))["type"] == "msg":
                number = int(message["data"]["msg"])
                found.setdefault(self.said_by[number], []).append(number)
        return found


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
