"""Who is in a room: entries, diffs on one shared tick, linger, what a crash and a reload leave of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.realtime_support import Peer, World
from wsprism.ports import Principal
from wsprism.protocol.backend import ConnectAnswer, JoinAnswer
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.websocket import CloseReceived
from wsprism.realtime.messages import (
    InfoChanged,
    JoinRequest,
    LeaveRequest,
    OpenSession,
    PresenceDue,
    PresenceState,
    Refreshed,
    RoomLeave,
    RulesChanged,
)
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.room.actor import FAN_OUT_WORK
from wsprism.realtime.rules import compile_rules
from wsprism.realtime.tenant.presences import PresenceForBackend
from wsprism.settings import TenantSettings

ACK = 4
JSON_WIRE = wire_format(JSON, deflated=False)


def world(**presence: Any) -> World:
    rooms = [
        {"match": "chat:*", "history": {}, "presence": {"enabled": True, **presence}},
        {"match": "plain", "history": {}},
        {"match": "*", "presence": {"enabled": True, **presence}},
    ]
    return World(rooms=rooms)


def hear(peer: Peer) -> list[Any]:
    return [one for one in peer.heard() if isinstance(one, dict)]


def join(peer: Peer, room: str = "r", **data: Any) -> Any:
    peer.say({"v": 1, "svc": "room", "type": "join", "room": room, "seq": 1, **({"data": data} if data else {})})
    return hear(peer)[-1]


def say(peer: Peer, kind: str, room: str = "r", **fields: Any) -> list[Any]:
    peer.say({"v": 1, "svc": "room", "type": kind, "room": room, **fields})
    return hear(peer)


def diffs(peer: Peer) -> list[Any]:
    heard = hear(peer)
    assert all((one["svc"], one["type"]) == ("room", "presence_diff") for one in heard), heard
    return [one["data"] for one in heard]


def sids(users: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {user: [entry["sid"] for entry in entries] for user, entries in users.items()}


async def listed(w: World, room: str = "r") -> Any:
    listing = await w.call(PresenceForBackend(room))
    return sids(msgspec.to_builtins(listing)["users"])


@pytest.mark.parametrize("room", ["r", "chat:1"])
@pytest.mark.parametrize("binary", [False, True])
async def test_who_asks_is_told_who_is_there_and_then_what_changes(room: str, binary: bool) -> None:
    w = world()
    ann = await w.connect("ann", "a", wire=wire_format(MSGPACK if binary else JSON, deflated=False))
    bob = await w.connect("bob", "b", info=msgspec.Raw(b'{"name":"Bob"}'))
    join(bob, room, state={"x": 1})
    told = join(ann, room, presence=True)["data"]["presence"]
    assert (told["total_users"], told["total_sessions"], told["truncated"]) == (2, 2, False)
    (entry,) = told["users"]["bob"]
    assert entry == {"sid": "b", "since": entry["since"], "info": {"name": "Bob"}, "state": {"x": 1}}
    assert set(told["users"]["ann"][0]) == {"sid", "since"}
    cyd = await w.connect("cyd", "c")
    join(cyd, room)
    assert hear(ann) == []
    w.scheduler.advance(0.5)
    (diff,) = diffs(ann)
    assert (sids(diff["joined"]), diff["left"], diff["changed"]) == ({"cyd": ["c"]}, {}, {})
    assert hear(bob) == []
    say(bob, "state", room, data={"state": [1]})
    say(cyd, "leave", room)
    w.scheduler.advance(0.5)
    (diff,) = diffs(ann)
    assert (diff["joined"], diff["left"]) == ({}, {"cyd": ["c"]})
    assert diff["changed"]["bob"] == [{**entry, "state": [1]}]
    w.scheduler.advance(5)
    assert diffs(ann) == []


async def test_each_subscribers_diff_fits_to_its_own_state() -> None:
    w = world()
    peers = [await w.connect(f"u{number}", "s") for number in range(4)]
    told = [join(peer, presence=True)["data"]["presence"]["users"] for peer in peers]
    assert [sorted(one) for one in told] == [["u0"], ["u0", "u1"], ["u0", "u1", "u2"], ["u0", "u1", "u2", "u3"]]
    say(peers[1], "leave")
    w.scheduler.advance(0.5)
    found = [[(sorted(one["joined"]), sorted(one["left"])) for one in diffs(peer)] for peer in peers]
    assert found == [[(["u2", "u3"], [])], [], [(["u3"], ["u1"])], [([], ["u1"])]]


async def test_who_came_and_went_within_a_batch_is_in_no_diff() -> None:
    w = world()
    ann, bob = await w.connect("ann"), await w.connect("bob")
    join(ann, presence=True)
    w.scheduler.advance(0.5)
    join(bob)
    say(bob, "leave")
    w.scheduler.advance(0.5)
    assert [one for one in diffs(ann) if one["joined"] or one["left"] or one["changed"]] == []


async def test_presence_is_answered_to_members_and_bounded() -> None:
    w = world(max_listed=1, max_diff_users=1)
    ann, bob, cyd = [await w.connect(user) for user in ("ann", "bob", "cyd")]
    hear(bob)
    assert say(bob, "presence", seq=3)[0]["data"]["code"] == ErrorCode.NOT_ALLOWED
    join(ann, presence=True)
    join(bob)
    join(cyd)
    (answer,) = say(bob, "presence", seq=4)
    assert (answer["svc"], answer["type"], answer["seq"], answer["room"]) == ("room", "presence", 4, "r")
    assert list(answer["data"]["users"]) == ["ann"]
    assert (answer["data"]["total_users"], answer["data"]["truncated"]) == (3, True)
    w.scheduler.advance(0.5)
    assert diffs(ann) == [{"totals": {"users": 3, "sessions": 3}, "truncated": True}]


async def test_a_room_without_presence_says_so_and_ignores_what_a_join_asks() -> None:
    w = world()
    ann = await w.connect("ann")
    hear(ann)
    assert "presence" not in join(ann, "plain", presence=True, state="x" * 5000)["data"]
    for kind, data in (("presence", None), ("state", {"state": 1})):
        (error,) = say(ann, kind, "plain", seq=2, data=data)
        assert error["data"] == {"code": "NOT_ALLOWED", "msg": "the room has no presence"}
    assert await w.call(PresenceForBackend("plain")) is None


async def test_a_state_that_is_too_large_is_refused_and_the_join_does_not_happen() -> None:
    w = world(max_state_bytes=10)
    ann = await w.connect("ann")
    hear(ann)
    error = join(ann, state="x" * 9)
    assert error["data"] == {"code": "PAYLOAD_TOO_LARGE", "msg": "state has 11 bytes; 10 are allowed"}
    assert w.tenant.rooms == 0
    assert join(ann, state="x" * 8)["type"] == "joined"
    assert say(ann, "state", data={"state": "y" * 9}, seq=5)[0]["data"]["code"] == "PAYLOAD_TOO_LARGE"
    assert say(ann, "state", data={"state": None}, seq=6, flags=ACK)[0]["type"] == "ack"
    assert say(ann, "presence")[0]["data"]["users"]["ann"][0]["state"] is None
    for data in (None, {}, {"state": 1, "more": 2}, 7):
        assert say(ann, "state", data=data)[0]["data"]["code"] == "BAD_REQUEST"


async def test_without_events_nobody_is_told_of_changes() -> None:
    w = world(events=False)
    ann, bob = await w.connect("ann"), await w.connect("bob")
    assert "presence" in join(ann, presence=True)["data"]
    join(bob)
    w.scheduler.advance(5)
    assert diffs(ann) == []


async def test_a_lost_connection_lingers_and_its_return_is_no_change() -> None:
    w = world(linger_ms=3000)
    ann, bob = await w.connect("ann"), await w.connect("bob", "b")
    join(ann, presence=True)
    join(bob, state=1)
    before = say(ann, "presence")[0]["data"]["users"]["bob"]
    w.scheduler.advance(0.5)
    hear(ann)
    bob.vanish()
    assert w.tenant.members == 1
    w.scheduler.advance(2)
    bob = await w.connect("bob", "b")
    join(bob)
    w.scheduler.advance(10)
    assert [one for one in diffs(ann) if any(one.values())] == []
    assert say(ann, "presence")[0]["data"]["users"]["bob"] == before
    bob.vanish()
    w.scheduler.advance(2.9)
    assert diffs(ann) == []
    w.scheduler.advance(0.6)
    assert [one["left"] for one in diffs(ann)] == [{"bob": ["b"]}]


@pytest.mark.parametrize("how", ["left", "closed", "kicked"])
async def test_who_goes_by_a_word_does_not_linger(how: str) -> None:
    w = world(linger_ms=3000)
    ann, bob = await w.connect("ann"), await w.connect("bob", "b")
    join(ann, presence=True)
    join(bob)
    w.scheduler.advance(0.5)
    hear(ann)
    if how == "left":
        say(bob, "leave")
    elif how == "closed":
        bob.event(CloseReceived(1000, ""))
        bob.vanish()
    else:
        await w.connect("bob", "b")
        w.settle()
    w.scheduler.advance(0.5)
    assert [one["left"] for one in diffs(ann)] == [{"bob": ["b"]}]


async def test_the_last_member_lingers_beyond_its_room() -> None:
    w = world(linger_ms=3000)
    ann = await w.connect("ann", "a")
    since = join(ann, presence=True)["data"]["presence"]["users"]["ann"]
    ann.vanish()
    assert w.tenant.rooms == 0
    assert await listed(w) == {"ann": ["a"]}
    w.scheduler.advance(2)
    ann = await w.connect("ann", "a")
    assert join(ann, presence=True)["data"]["presence"]["users"]["ann"] == since
    ann.vanish()
    w.scheduler.advance(3.6)
    assert await listed(w) == {}
    assert list(w.tenant.presences) == []


@pytest.mark.parametrize("room", ["r", "chat:1"])
async def test_presence_and_subscriptions_outlive_a_crash_of_the_room(room: str) -> None:
    w = world()
    ann, bob = await w.connect("ann", "a"), await w.connect("bob", "b")
    before = join(ann, room, presence=True)["data"]["presence"]["users"]
    w.tenant.registry.rooms[room].ref.tell("what a room does not take")
    join(bob, room)
    w.scheduler.advance(2)
    assert [str(one) for one in w.failures]
    heard = [one["data"] for one in hear(ann) if one["type"] == "presence_diff"]
    assert [(sids(one["joined"]), one["left"]) for one in heard] == [({"bob": ["b"]}, {})]
    assert say(ann, "presence", room)[0]["data"]["users"]["ann"] == before["ann"]


async def test_a_crash_in_the_middle_of_a_round_tells_nobody_twice_and_nobody_never() -> None:
    w = world()
    crowd = [await w.connect(f"u{number}") for number in range(FAN_OUT_WORK + 20)]
    for peer in crowd:
        join(peer, presence=True)
    w.scheduler.advance(0.5)
    bob = await w.connect("bob", "b")
    join(bob)
    for peer in crowd:
        hear(peer)
    room = w.tenant.registry.rooms["r"].ref
    room.tell_control(PresenceDue())
    room.tell_control("what a room does not take")
    w.scheduler.advance(5)
    assert len(w.failures) == 1
    for peer in crowd:
        told = [one["data"] for one in hear(peer) if one["type"] == "presence_diff"]
        assert [sids(one["joined"]) for one in told] == [{"bob": ["b"]}]


async def test_a_late_word_of_a_session_that_was_replaced_takes_nothing_from_its_successor() -> None:
    w = world(linger_ms=5000)
    old = await w.connect("ann", "a")
    join(old)
    new = await w.connect("ann", "a")
    join(new, state=1)
    room = w.tenant.registry.rooms["r"].ref
    for lost in (False, True):
        room.tell_control(RoomLeave(old.session, None, announce=False, lost=lost))
    room.tell_control(PresenceState(old.session, None, msgspec.Raw(b"2"), False))
    w.scheduler.advance(10)
    listing = await w.call(PresenceForBackend("r"))
    assert [(one.sid, bytes(one.state)) for one in listing.users["ann"]] == [("a", b"1")]


async def test_a_reload_gives_an_open_room_presence_and_takes_it() -> None:
    w = World(rooms=[])
    ann = await w.connect("ann", "a")
    join(ann)
    reload_to(w, [{"match": "*", "presence": {"enabled": True}}])
    assert await listed(w) == {"ann": ["a"]}
    reload_to(w, [])
    assert await w.call(PresenceForBackend("r")) is None
    assert list(w.tenant.presences) == []


def reload_to(w: World, rooms: Sequence[Any]) -> None:

    policy = {"ext_allowlist": ["room:*"], "sessions": {"max_sessions_per_user": 0}}
    model = TenantSettings.model_validate({"id": "t", "policy": policy, "rooms": list(rooms)})
    w.tenant.apply(compile_rules(model, w.services))
    w.tenant.ref.tell_control(RulesChanged())
    w.settle()


async def test_a_crowd_costs_two_diffs_a_second_and_member() -> None:
    w = world()
    peers = [await w.connect(f"u{number}", "s") for number in range(1000)]
    for peer in peers:
        peer.say({"v": 1, "svc": "room", "type": "join", "room": "r", "data": {"presence": True}})
    w.scheduler.advance(0.5)
    for peer in peers:
        hear(peer)
    told = w.tenant.counters.presence_diffs
    movers = [await w.connect(f"m{number}", "s") for number in range(100)]
    for second in range(2):
        for tenth in range(10):
            for mover in movers[tenth * 10 : tenth * 10 + 10]:
                mover.join("r") if second == 0 else say(mover, "leave")
            w.scheduler.advance(0.1)
    w.scheduler.advance(0.5)
    assert w.tenant.counters.presence_diffs - told <= 1000 * 5 + 100
    assert all(0 < len(diffs(peer)) <= 5 for peer in peers)


NAMED, RENAMED, HERE = (msgspec.Raw(text) for text in (b'{"name":"Ann"}', b'{"name":"Anna"}', b'{"seat":7}'))


def info_of(users: dict[str, list[dict[str, Any]]], user: str = "ann") -> Any:
    return [entry.get("info") for entry in users.get(user, [])]


async def test_a_backends_word_of_the_handshake_is_shown_before_the_tickets() -> None:
    w = world()
    renamed, silent = ConnectAnswer(allow=True, info=RENAMED), ConnectAnswer(allow=True)
    for user, decision in [("ann", renamed), ("bob", silent), ("cyd", None)]:
        question = OpenSession(Principal(user, info=NAMED), "s", JSON_WIRE, "f" * 32, "::1", decision=decision)
        join(w.attach((await w.call(question)).session))
    users = (await w.call(PresenceForBackend("r"))).users
    shown = {user: json.loads(bytes(entry.info))["name"] for user, [entry] in users.items()}
    assert shown == {"ann": "Anna", "bob": "Ann", "cyd": "Ann"}


async def test_a_backends_word_of_a_join_is_shown_in_that_room_alone_and_until_the_next_join() -> None:
    w = world()
    bob, ann = await w.connect("bob"), await w.connect("ann", "a", info=NAMED)
    for room in ("r", "chat:1"):
        join(bob, room, presence=True)
    answer = JoinAnswer(allow=True, info=HERE)
    w.tenant.ref.tell_control(JoinRequest(ann.session, "r", None, answer=answer))
    join(ann, "chat:1")
    w.scheduler.advance(0.5)
    found = {one["room"]: info_of(one["data"]["joined"]) for one in hear(bob)}
    assert found == {"r": [{"seat": 7}], "chat:1": [{"name": "Ann"}]}
    w.tenant.ref.tell_control(JoinRequest(ann.session, "r", None))
    w.scheduler.advance(0.5)
    (diff,) = diffs(bob)
    assert (info_of(diff["changed"]), diff["joined"], diff["left"]) == ([{"name": "Ann"}], {}, {})


async def test_a_new_ticket_changes_what_is_shown_where_the_backend_has_said_nothing_of_the_join() -> None:
    w = world()
    rooms = ["r", "chat:1", "plain", "answered"]
    bob, ann = await w.connect("bob"), await w.connect("ann", "a", info=NAMED)
    for room in rooms:
        join(bob, room, presence=True)
    for room in rooms[:3]:
        join(ann, room, state=1)
    answer = JoinAnswer(allow=True, info=HERE)
    w.tenant.ref.tell_control(JoinRequest(ann.session, "answered", None, answer=answer))
    w.scheduler.advance(0.5)
    hear(bob)
    since = (await w.call(PresenceForBackend("r"))).users["ann"][0].since

    def refresh(info: msgspec.Raw | None, **principal: Any) -> dict[str, Any]:
        ann.session.connection.tell(Refreshed(Principal("ann", info=info, **principal), 1))
        w.scheduler.advance(0.5)
        return {one["room"]: one["data"] for one in hear(bob)}

    entry = {"sid": "a", "since": since, "info": {"name": "Anna"}, "state": 1}
    changed = {"joined": {}, "left": {}, "changed": {"ann": [entry]}}
    assert refresh(RENAMED) == {"r": changed, "chat:1": changed}
    assert refresh(msgspec.Raw(bytes(RENAMED))) == {}
    del entry["info"]
    assert refresh(None)["r"] == changed
    assert refresh(NAMED, rooms=("none",))["r"]["left"] == {"ann": ["a"]}


async def test_a_new_ticket_changes_nothing_where_the_backend_has_said_who_it_is() -> None:
    w = world()
    bob = await w.connect("bob")
    join(bob, presence=True)
    decision = ConnectAnswer(allow=True, info=HERE)
    question = OpenSession(Principal("ann", info=NAMED), "a", JSON_WIRE, "f" * 32, "::1", decision=decision)
    ann = w.attach((await w.call(question)).session)
    join(ann)
    w.scheduler.advance(0.5)
    assert info_of(diffs(bob)[0]["joined"]) == [{"seat": 7}]
    ann.session.connection.tell(Refreshed(Principal("ann", info=RENAMED), 1))
    w.scheduler.advance(0.5)
    assert diffs(bob) == []


async def test_a_new_info_between_a_leave_and_its_room_is_nobodys() -> None:
    w = world()
    bob, ann = await w.connect("bob"), await w.connect("ann", "a", info=NAMED)
    join(bob, presence=True)
    join(ann)
    w.scheduler.advance(0.5)
    hear(bob)
    room = w.tenant.registry.rooms["r"].ref
    w.tenant.ref.tell_control(LeaveRequest(ann.session, "r", None))
    room.tell_control(InfoChanged(ann.session))
    w.scheduler.advance(0.5)
    assert await listed(w) == {"bob": [bob.session.sid]}
    room.tell_control(InfoChanged(ann.session))
    w.scheduler.advance(0.5)
    assert await listed(w) == {"bob": [bob.session.sid]}
    assert not w.failures
