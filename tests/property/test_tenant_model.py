"""A tenant against a model of it: whatever its clients, its backend and its operator do in whatever order, each client
hears exactly what the model says, every limit holds, and every count is the model's."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.examples import examples
from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.policy.revocation import Revocable
from wsprism.policy.sessions import OnExceed, SessionPolicy
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.websocket import CloseReceived
from wsprism.realtime.messages import Revoke
from wsprism.realtime.outbound.sweeper import Sweeper
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, RemoveForBackend, Who

USERS = st.sampled_from(["ann", "bob", "cat"])
SIDS = st.sampled_from([None, "s1", "s2"])
TOKEN_IDS = st.sampled_from([None, "t1", "t2"])
PICKS = st.integers(0, 59)
ROOMS = st.sampled_from(["r1", "r2", "r3"])
REFRESHES_BURST = 5
NEVER_S = 1e9
RESTARTS_FORGOTTEN_S = 6.0
Heard = tuple[object, ...]
"""One frame, shortened to what the model says about it."""


@dataclass(eq=False)
class Member:
    """A live session of the model, and its real counterpart."""

    user: str
    sid: str
    token_id: str | None
    expires_at: float | None
    peer: Peer
    refreshes: TokenBucket
    rooms: list[str] = field(default_factory=list)
    expected: list[Heard] = field(default_factory=list)


class Tickets:
    """``<user> <token id or -> <expiry or ->`` is good until it expires."""

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        user, token_id, expires_at = request.ticket.split()
        until = None if expires_at == "-" else float(expires_at)
        return Principal(user, token_id=None if token_id == "-" else token_id, expires_at=until)

    async def close(self) -> None: ...


class TenantModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.live: list[Member] = []
        self.revoked: dict[tuple[Revocable, str], float] = {}
        self.crashes = 0
        self.closed: Counter[int] = Counter()

    @initialize(on_exceed=st.sampled_from(list(OnExceed)), membership=st.booleans())
    def start(self, on_exceed: OnExceed, membership: bool) -> None:
        limits = {"max_sessions_total": 5, "max_rooms_total": 2, "max_users_per_room": 2, "max_rooms_per_user": 2}
        policy = {
            "sessions": {"max_sessions_per_user": 2, "on_exceed": on_exceed.value},
            "publish_requires_membership": membership,
        }
        self.world = World(Tickets(), limits=limits, policy=policy)
        self.tenant = self.world.tenant
        self.sweeper = Sweeper(
            self.world.scheduler,
            lambda: [member.peer for member in self.live],
            self.world.scheduler.now,
            ping_interval_s=NEVER_S,
            idle_timeout_s=NEVER_S,
        )
        for user in ("ann", "bob", "cat"):
            self.let_in(user, None, None, None)
            self.enter(self.live[-1], "r1")

    # Helpers

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def say(self, member: Member, svc: str, kind: str, data: object = None, room: str | None = None) -> None:
        message = {"v": 1, "svc": svc, "type": kind, "data": data} | ({"room": room} if room is not None else {})

        async def work() -> None:
            member.peer.say(message)
            for _ in range(3):
                await asyncio.sleep(0)
            self.world.settle()

        self.run(work())

    def users_in(self, room: str) -> set[str]:
        return {member.user for member in self.live if room in member.rooms}

    def rooms_of(self, user: str) -> set[str]:
        return {room for member in self.live if member.user == user for room in member.rooms}

    def rooms(self) -> set[str]:
        return {room for member in self.live for room in member.rooms}

    def may_join(self, user: str, room: str) -> bool:
        limits, rooms, own = self.tenant.rules.limits, self.rooms(), self.rooms_of(user)
        if room in own:
            return True
        room_full = 0 < limits.max_users_per_room <= len(self.users_in(room))
        user_full = 0 < limits.max_rooms_per_user <= len(own)
        tenant_full = room not in rooms and len(rooms) >= limits.max_rooms_total
        return not (room_full or user_full or tenant_full)

    def ended(self, member: Member, code: int, notice: Heard | None = None, *, at_once: bool = True) -> None:
        """The model's session ends by the gateway's will (``at_once``: before its socket does); its socket follows."""
        assert not at_once or member.peer.session not in list(self.tenant.registry)
        self.live.remove(member)
        self.closed[code] += 1
        heard = self.heard(member)
        assert heard == [*member.expected, *([notice] if notice else []), ("close", code)]
        member.peer.vanish()

    def heard(self, member: Member) -> list[Heard]:
        return [shortened(opcode, payload) for opcode, payload in member.peer.frames()]

    def is_revoked(self, user: str, sid: str | None, token_id: str | None) -> bool:
        now = self.world.scheduler.now()
        named = ((Revocable.USER, user), (Revocable.SID, sid), (Revocable.TOKEN_ID, token_id))
        return any(self.revoked.get((what, name), now) > now for what, name in named if name is not None)

    # Sessions

    @rule(user=USERS, sid=SIDS, token_id=TOKEN_IDS, lasts_s=st.sampled_from([None, 5.0, 50.0]))
    def connect(self, user: str, sid: str | None, token_id: str | None, lasts_s: float | None) -> None:
        self.let_in(user, sid, token_id, lasts_s)

    def let_in(self, user: str, sid: str | None, token_id: str | None, lasts_s: float | None) -> None:
        expires_at = None if lasts_s is None else self.world.scheduler.now() + lasts_s
        opened = self.run(self.world.ask(user, sid, token_id=token_id, expires_at=expires_at))
        if self.is_revoked(user, sid, token_id):
            assert isinstance(opened, Denied)
            assert opened.reason is Reason.REVOKED
            return
        of_user = [member for member in self.live if member.user == user]
        replaced = [member for member in of_user if member.sid == sid]
        others = [member for member in of_user if member.sid != sid]
        policy: SessionPolicy = self.tenant.rules.sessions
        surplus = max(0, len(others) + 1 - policy.max_sessions_per_user)
        if surplus and policy.on_exceed is OnExceed.DENY:
            peer = self.world.attach(opened.session)
            frames = [shortened(opcode, payload) for opcode, payload in peer.frames()]
            assert frames == [("error", "TOO_MANY_SESSIONS"), ("close", 4501)]
            self.closed[4501] += 1
            peer.vanish()
            return
        kicked = others[:surplus]
        most = self.tenant.rules.limits.max_sessions_total
        if most and len(self.live) - len(replaced) - len(kicked) >= most:
            assert isinstance(opened, Denied)
            assert opened.reason is Reason.TENANT_FULL
            return
        for member, reason in [(one, "replaced") for one in replaced] + [(one, "kicked_oldest") for one in kicked]:
            self.ended(member, 4500, ("kicked", reason))
        peer = self.world.attach(opened.session)
        refreshes = TokenBucket(1, REFRESHES_BURST, self.world.scheduler.now())
        member = Member(user, opened.session.sid, token_id, expires_at, peer, refreshes)
        member.expected.append(("authed",))
        self.live.append(member)

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, how=st.sampled_from(["vanish", "close"]))
    def disconnect(self, pick: int, how: str) -> None:
        member = self.live[pick % len(self.live)]
        self.live.remove(member)
        if how == "close":
            member.peer.event(CloseReceived(1000, "bye"))
            self.closed[1000] += 1
        else:
            self.closed[1006] += 1
        member.peer.vanish()

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, again=USERS, token_id=TOKEN_IDS, lasts_s=st.sampled_from([None, 20.0]))
    def refresh(self, pick: int, again: str, token_id: str | None, lasts_s: float | None) -> None:
        member = self.live[pick % len(self.live)]
        now = self.world.scheduler.now()
        expires_at = None if lasts_s is None else now + lasts_s
        ticket = f"{again} {token_id or '-'} {'-' if expires_at is None else expires_at}"
        self.say(member, "sys", "refresh", {"ticket": ticket})
        if not member.refreshes.take(now):
            member.expected.append(("error", "RATE_LIMITED"))
        elif again != member.user or self.is_revoked(member.user, member.sid, token_id):
            member.expected.append(("error", "AUTH_FAILED"))
        else:
            member.token_id, member.expires_at = token_id, expires_at
            member.expected.append(("refreshed",))

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.let_pass(seconds)

    def let_pass(self, seconds: float) -> None:
        self.world.scheduler.advance(seconds)
        self.sweeper.sweep()
        self.world.settle()
        now = self.world.scheduler.now()
        for member in [one for one in self.live if one.expires_at is not None and one.expires_at <= now]:
            self.ended(member, 4003, at_once=False)

    # Rooms

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=ROOMS)
    def join(self, pick: int, room: str) -> None:
        self.enter(self.live[pick % len(self.live)], room)

    def enter(self, member: Member, room: str) -> None:
        may_join = self.may_join(member.user, room)
        self.say(member, "room", "join", room=room)
        if not may_join:
            member.expected.append(("error", "RESOURCE_EXHAUSTED"))
            return
        member.rooms = [one for one in member.rooms if one != room] + [room]
        member.expected.append(("joined", room))

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=st.none() | ROOMS)
    def leave(self, pick: int, room: str | None) -> None:
        member = self.live[pick % len(self.live)]
        self.say(member, "room", "leave", room=room)
        named = room or (member.rooms[-1] if member.rooms else None)
        if named not in member.rooms:
            member.expected.append(("error", "NOT_ALLOWED"))
            return
        member.rooms.remove(named)
        member.expected.append(("left", named))

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, room=st.none() | ROOMS, text=st.text(max_size=5))
    def chat(self, pick: int, room: str | None, text: str) -> None:
        member = self.live[pick % len(self.live)]
        self.say(member, "chat", "send", {"msg": text}, room)
        named = room or (member.rooms[-1] if member.rooms else None)
        if named is None or (self.tenant.rules.publish_requires_membership and named not in member.rooms):
            member.expected.append(("error", "NOT_ALLOWED"))
            return
        for one in self.live:
            if named in one.rooms:
                one.expected.append(("msg", named, member.user, text))

    @precondition(lambda self: self.live)
    @rule(pick=PICKS, payload=st.binary(max_size=4), relay=st.booleans())
    def hot(self, pick: int, payload: bytes, relay: bool) -> None:
        member = self.live[pick % len(self.live)]
        frame = bytes((2 if relay else 1, 1, 0)) + payload
        member.peer.say(frame)
        if not member.rooms:
            member.expected.append(("error", "NOT_ALLOWED"))
            return
        for one in self.live:
            if member.rooms[-1] in one.rooms and not (relay and one is member):
                one.expected.append(("hot", frame))

    @precondition(lambda self: self.rooms())
    @rule(room=ROOMS)
    def crash_room(self, room: str) -> None:
        entry = self.tenant.registry.rooms.get(room)
        if entry is None:
            return
        entry.ref.tell(object())
        self.crashes += 1
        self.world.settle()
        for member in self.live:
            if room in member.rooms:
                member.expected.append(("error", "INTERNAL"))
        self.let_pass(RESTARTS_FORGOTTEN_S)

    # The backend and the operator

    @rule(user=USERS, room=ROOMS)
    def remove_by_backend(self, user: str, room: str) -> None:
        meant = [member for member in self.live if member.user == user and room in member.rooms]
        assert self.run(self.world.call(RemoveForBackend(room=room, who=Who(user=user)))) == len(meant)
        for member in meant:
            member.rooms.remove(room)
            member.expected.append(("left", room))

    @rule(user=USERS, code=st.sampled_from([4000, 4500]))
    def disconnect_by_backend(self, user: str, code: int) -> None:
        meant = [member for member in self.live if member.user == user]
        call = DisconnectForBackend(who=Who(user=user), room=None, code=code, reason="told to")
        assert self.run(self.world.call(call)) == len(meant)
        for member in meant:
            self.ended(member, code, ("kicked", "told to") if code == 4500 else None)

    @rule(what=st.sampled_from(list(Revocable)), user=USERS, sid=SIDS, token_id=TOKEN_IDS, seconds=st.integers(1, 30))
    def revoke(self, what: Revocable, user: str, sid: str | None, token_id: str | None, seconds: int) -> None:
        name = {Revocable.USER: user, Revocable.SID: sid, Revocable.TOKEN_ID: token_id}[what]
        if name is None:
            return
        until_s = self.world.scheduler.now() + seconds
        own = {Revocable.USER: "user", Revocable.SID: "sid", Revocable.TOKEN_ID: "token_id"}[what]
        meant = [member for member in self.live if getattr(member, own) == name]
        assert self.run(self.world.call(Revoke(what, name, until_s))) == len(meant)
        self.revoked[what, name] = until_s
        for member in meant:
            self.ended(member, 4502)

    @rule(most=st.sampled_from([0, 1, 2, 3]), sessions=st.sampled_from([0, 2, 5, 6]))
    def reload(self, most: int, sessions: int) -> None:
        """Lower limits end nobody; they hold from the next question on."""
        limits = replace(
            self.tenant.rules.limits, max_users_per_room=most, max_rooms_per_user=most, max_sessions_total=sessions
        )
        self.tenant.apply(replace(self.tenant.rules, limits=limits))

    # What holds after every step

    @invariant()
    def every_client_hears_what_the_model_says(self) -> None:
        for member in self.live:
            assert self.heard(member) == member.expected
            member.expected.clear()

    @invariant()
    def every_count_is_the_models(self) -> None:
        if not hasattr(self, "tenant"):
            return
        registry = self.tenant.registry
        assert len(registry) == len(self.live)
        assert set(registry.rooms) == self.rooms()
        for room, entry in registry.rooms.items():
            assert set(entry.users) == self.users_in(room)
            assert (
                set(entry.roster) == set(entry.sessions) == {one.peer.session for one in self.live if room in one.rooms}
            )
        assert {code: count for code, count in self.tenant.counters.closed.items() if count} == dict(self.closed)
        lanes = self.tenant.counters.lanes
        assert list(lanes.queued) == list(lanes.queued_bytes) == [0, 0, 0]
        assert len(self.world.failures) == self.crashes

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for member in self.live:
                member.peer.vanish()
            assert (self.tenant.sessions, self.tenant.rooms) == (0, 0)
            self.run(self.world.system.stop(1.0))
        self.loop.close()


def shortened(opcode: int, payload: bytes) -> Heard:
    if opcode == 8:
        return ("close", int.from_bytes(payload[:2]))
    if opcode == 2:
        return ("hot", payload)
    message = json.loads(payload)
    kind = message["type"]
    match kind:
        case "msg":
            return (kind, message["room"], message["data"]["from"], message["data"]["msg"])
        case "joined" | "left":
            return (kind, message["room"])
        case "error":
            return (kind, message["data"]["code"])
        case "kicked":
            return (kind, message["data"]["reason"])
        case _:
            return (kind,)


TestTenantModel = TenantModel.TestCase
TestTenantModel.settings = settings(max_examples=examples(100), stateful_step_count=50, deadline=None)
