"""``sys.refresh``: a new ticket in place of the old, judged as the handshake was, and what it narrows holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Reason
from wsprism.policy.revocation import Revocable
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.realtime.messages import CloseConnection, JoinRequest, Refreshed, Revoke


def ext(svc: str, type: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "svc": svc, "type": type, **fields}


async def connect(world: World, user: str, **options: Any) -> Peer:
    """A client that has heard what comes first."""
    peer = await world.connect(user, **options)
    peer.heard()
    return peer


class Gate:
    """Answers when it is opened: a user, a refusal, or a failure."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Principal | Exception | TicketRefusal] = asyncio.Queue()
        self.asked: list[TicketRequest] = []

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        self.asked.append(request)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


async def refresh(world: World, peer: Peer, answer: Principal | Exception | TicketRefusal) -> None:
    gate = world.tenant.authenticator
    assert isinstance(gate, Gate)
    peer.say(ext("sys", "refresh", seq=8, data={"ticket": "new"}))
    gate.answers.put_nowait(answer)
    for _ in range(5):
        await asyncio.sleep(0)
    world.settle()


async def test_a_new_ticket_of_the_same_user_extends_the_connection() -> None:
    world = World(Gate())
    peer = await connect(world, "ann", expires_at=10.0)
    await refresh(world, peer, Principal("ann", expires_at=99.0, read_only=True))
    assert peer.heard() == [ext("sys", "refreshed", seq=8, data={"expires_at": 99.0}, trace_id="f" * 32)]
    assert peer.session.principal == Principal("ann", expires_at=99.0, read_only=True)


@pytest.mark.parametrize("answer", [TicketRefusal.CANNOT_TELL, RuntimeError("key server")])
async def test_a_ticket_that_cannot_be_judged_changes_nothing(answer: Exception | TicketRefusal) -> None:
    world = World(Gate())
    peer = await connect(world, "ann", expires_at=10.0)
    await refresh(world, peer, answer)
    assert peer.errors() == [("UNAVAILABLE", 8)]
    assert peer.session.principal == Principal("ann", expires_at=10.0)


@pytest.mark.parametrize("answer", [TicketRefusal.REFUSED, TicketRefusal.EXPIRED, Principal("bob")])
async def test_any_other_ticket_is_refused_and_changes_nothing(answer: Principal | Exception | TicketRefusal) -> None:
    world = World(Gate())
    peer = await connect(world, "ann", expires_at=10.0)
    await refresh(world, peer, answer)
    assert peer.errors() == [("AUTH_FAILED", 8)]
    assert peer.session.principal == Principal("ann", expires_at=10.0)
    assert world.tenant.counters.decisions[Reason.AUTH_FAILED] == 1
    world.scheduler.advance(1.0)
    await refresh(world, peer, Principal("ann"))
    assert peer.types() == ["refreshed"]


async def test_a_second_refresh_while_one_runs_is_refused() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    peer.say(ext("sys", "refresh", seq=7, data={"ticket": "one"}))
    await refresh(world, peer, Principal("ann"))
    assert [(one["type"], one["seq"]) for one in peer.heard() if isinstance(one, dict)] == [
        ("error", 8),
        ("refreshed", 7),
    ]
    gate = world.tenant.authenticator
    assert isinstance(gate, Gate)
    assert [(request.tenant, request.ticket) for request in gate.asked] == [("t", "one")]


async def test_five_tickets_are_judged_at_once_and_then_one_a_second() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    for _ in range(5):
        await refresh(world, peer, TicketRefusal.REFUSED)
    assert peer.errors() == [("AUTH_FAILED", 8)] * 5
    for _ in range(20):
        peer.say(ext("sys", "refresh", seq=9, data={"ticket": "guess"}))
    assert peer.errors() == [("RATE_LIMITED", 9)] * 20
    gate = world.tenant.authenticator
    assert isinstance(gate, Gate)
    assert len(gate.asked) == 5
    world.scheduler.advance(1.0)
    await refresh(world, peer, Principal("ann"))
    assert peer.types() == ["refreshed"]


async def test_messages_are_heard_while_a_refresh_runs_and_its_end_after_the_connections_does_nothing() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    peer.say(ext("sys", "refresh", data={"ticket": "one"}), ext("sys", "ping"))
    assert peer.types() == ["pong"]
    peer.vanish()
    assert await world.system.stop(1.0)
    assert world.failures == []


async def test_a_refresh_is_judged_with_what_the_handshake_said() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    await refresh(world, peer, Principal("ann"))
    gate = world.tenant.authenticator
    assert isinstance(gate, Gate)
    assert gate.asked == [TicketRequest("t", "new", "::1", origin="https://game.example", user_agent="browser")]


@pytest.mark.parametrize(
    ("what", "name"), [(Revocable.USER, "ann"), (Revocable.SID, "tab"), (Revocable.TOKEN_ID, "new")]
)
async def test_a_refresh_with_a_revoked_ticket_is_refused_and_changes_nothing(what: Revocable, name: str) -> None:
    world = World(Gate())
    peer = await connect(world, "ann", sid="tab", token_id="old")
    world.tenant.revocations.revoke(what, name, until_s=100.0, now_s=0.0)
    await refresh(world, peer, Principal("ann", token_id="new"))
    assert peer.errors() == [("AUTH_FAILED", 8)]
    assert peer.session.principal.token_id == "old"
    assert world.tenant.counters.decisions[Reason.REVOKED] == 1


async def test_after_a_refresh_the_connection_stands_on_the_new_ticket() -> None:
    world = World(Gate())
    peer = await connect(world, "ann", token_id="old")
    await refresh(world, peer, Principal("ann", token_id="new"))
    for token_id in ("old", "new"):
        world.tenant.ref.tell(Revoke(Revocable.TOKEN_ID, token_id, 100.0))
        world.settle()
        assert (peer.closed_with() is not None) == (token_id == "new")


async def test_a_refresh_that_narrows_the_rooms_takes_the_connection_out_of_the_others() -> None:
    world = World(Gate())
    peer, other = await connect(world, "ann"), await connect(world, "bob")
    for room in ("match:1", "lobby"):
        peer.join(room)
        other.join(room)
    peer.types()
    await refresh(world, peer, Principal("ann", rooms=("match:*",)))
    assert [(one["type"], one.get("room")) for one in peer.heard() if isinstance(one, dict)] == [
        ("refreshed", None),
        ("left", "lobby"),
    ]
    peer.chat("to the active room")
    assert [one["room"] for one in peer.heard() if isinstance(one, dict)] == ["match:1"]
    peer.chat("hi", room="lobby")
    peer.join("lobby")
    assert peer.errors() == [("NOT_ALLOWED", None)] * 2
    other.chat("secret", room="lobby")
    assert peer.heard() == []
    other.chat("fine", room="match:1")
    assert peer.types() == ["msg"]
    assert world.tenant.registry.is_user_in("ann", "match:1")
    assert not world.tenant.registry.is_user_in("ann", "lobby")


async def test_a_refresh_leaves_alone_a_room_that_the_old_ticket_did_not_allow_either() -> None:
    """Somebody else has put it there: the backend, which may."""
    world = World(Gate())
    peer = await connect(world, "ann", rooms=("match:*",))
    world.tenant.ref.tell(JoinRequest(peer.session, "vip", None))
    world.settle()
    peer.types()
    await refresh(world, peer, Principal("ann", rooms=("match:1",)))
    assert peer.types() == ["refreshed"]
    assert world.tenant.registry.is_user_in("ann", "vip")


async def test_a_join_under_way_while_a_refresh_narrows_the_ticket_does_not_outlast_it() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    connection = peer.session.connection
    connection.deliver([json.dumps(ext("room", "join", room="lobby"))])
    connection.deliver([Refreshed(Principal("ann", rooms=("match:*",)), 8)])
    world.settle()
    assert peer.types() == ["refreshed", "joined", "left"]
    assert not world.tenant.registry.is_user_in("ann", "lobby")
    peer.chat("hi", room="lobby")
    assert peer.errors() == [("NOT_ALLOWED", None)]


async def test_a_refresh_to_read_only_holds_for_both_lanes() -> None:
    world = World(Gate())
    peer = await connect(world, "ann")
    peer.join("lobby")
    peer.types()
    await refresh(world, peer, Principal("ann", read_only=True))
    peer.types()
    peer.chat("hi")
    peer.say(b"\x01\x00\x00")
    assert [code for code, _ in peer.errors()] == ["NOT_ALLOWED", "NOT_ALLOWED"]


async def test_a_refresh_that_ends_after_the_close_says_nothing_more() -> None:
    world = World(Gate())
    peer = await connect(world, "ann", expires_at=10.0)
    peer.say(ext("sys", "refresh", data={"ticket": "one"}))
    peer.session.connection.tell_control(CloseConnection(4003, "ticket expired"))
    world.settle()
    peer.event(Refreshed(Principal("ann"), None))
    assert peer.closed_with() == (4003, "ticket expired")
    assert peer.session.principal.expires_at == 10.0
