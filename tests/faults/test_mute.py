"""Removed, disconnected, kicked or revoked: from the moment of the answer nothing of theirs reaches a room, wherever it
waits. Who leaves by itself is heard to the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.policy.revocation import Revocable
from wsprism.ports import Principal, TicketRequest
from wsprism.realtime.messages import Revoke, TransportLost
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, JoinForBackend, RemoveForBackend, Who

WAITING = 1000

ENDS: dict[str, Callable[[], object]] = {
    "removed": lambda: RemoveForBackend("lobby", Who(user="ann")),
    "disconnected": lambda: DisconnectForBackend(Who(user="ann"), None, 4500, "told to"),
    "cleared": lambda: DisconnectForBackend(None, "lobby", 4500, "told to"),
    "revoked": lambda: Revoke(Revocable.USER, "ann", 1e9),
}


def chat(number: int, **fields: Any) -> str:
    return json.dumps({"v": 1, "svc": "chat", "type": "send", "data": {"msg": str(number)}, "seq": number} | fields)


def chats(peer: Peer) -> list[bytes]:
    """What was published, of what it has heard."""
    return [payload for opcode, payload in peer.frames() if opcode == 2 or (opcode == 1 and b'"chat"' in payload)]


async def lobby(world: World) -> tuple[Peer, Peer]:
    ann, bob = await world.connect("ann"), await world.connect("bob")
    for peer in (ann, bob):
        peer.join("lobby")
    ann.heard()
    bob.heard()
    return ann, bob


async def answered(world: World, question: object) -> Any:
    """Only as many turns as it takes to be answered."""
    asked = asyncio.ensure_future(world.tenant.ref.ask(question, 5.0))
    for _ in range(1000):
        await asyncio.sleep(0)
        if asked.done():
            break
        world.tenant.ref.deliver([])
    return await asked


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("lane", ["ext", "hot"])
@pytest.mark.parametrize("membership", [True, False])
async def test_what_waits_in_the_connections_mailbox_reaches_no_room(how: str, lane: str, membership: bool) -> None:
    world = World(policy={"publish_requires_membership": membership})
    ann, bob = await lobby(world)
    for number in range(WAITING):
        assert ann.session.connection.tell(chat(number) if lane == "ext" else bytes((1, 1, 0, number % 256)))
    assert await answered(world, ENDS[how]()) >= 1
    world.settle()
    heard = chats(bob)
    if how == "removed" and not membership and lane == "ext":
        return  # anybody may publish there
    assert heard == []


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("lane", ["ext", "hot"])
async def test_what_waits_in_the_rooms_mailbox_is_not_published(how: str, lane: str) -> None:
    world = World()
    ann, bob = await lobby(world)
    for number in range(WAITING):
        ann.session.connection.deliver([chat(number) if lane == "ext" else bytes((1, 1, 0, number % 256))])
    assert world.tenant.registry.rooms["lobby"].ref.pending == WAITING
    await answered(world, ENDS[how]())
    world.settle()
    assert chats(bob) == []


async def test_a_strangers_publication_that_waits_is_not_published_either() -> None:
    world = World(policy={"publish_requires_membership": False})
    ann, bob = await world.connect("ann"), await world.connect("bob")
    bob.join("lobby")
    bob.heard()
    for number in range(10):
        ann.session.connection.deliver([chat(number, room="lobby")])
    world.scheduler.run_once()
    await answered(world, ENDS["disconnected"]())
    world.settle()
    assert bob.heard() == []


async def test_who_is_removed_is_told_of_what_it_wanted_acknowledged_and_may_come_back() -> None:
    world = World()
    ann, bob = await lobby(world)
    ann.session.connection.deliver([chat(1, flags=4)])
    await answered(world, ENDS["removed"]())
    world.settle()
    told = [(one["type"], one.get("seq")) for one in ann.heard() if isinstance(one, dict)]
    assert told == [("error", 1), ("left", None)]
    assert not ann.session.muted
    await world.call(JoinForBackend("lobby", Who(user="ann")))
    ann.chat("again")
    assert [one["data"]["msg"] for one in bob.heard() if isinstance(one, dict)] == ["again"]


async def test_a_chat_in_another_room_goes_on() -> None:
    world = World()
    ann, bob = await lobby(world)
    for peer in (ann, bob):
        peer.join("other")
        peer.heard()
    ann.session.connection.deliver([chat(1, room="lobby"), chat(2, room="other")])
    await answered(world, ENDS["removed"]())
    world.settle()
    assert [one["data"]["msg"] for one in bob.heard() if isinstance(one, dict)] == ["2"]


@pytest.mark.parametrize("leaves", ["leaves", "is lost"])
async def test_who_leaves_by_itself_is_heard_to_the_end(leaves: str) -> None:
    world = World()
    ann, bob = await lobby(world)
    connection = ann.session.connection
    for number in range(100):
        connection.deliver([chat(number)])
    if leaves == "leaves":
        connection.deliver([json.dumps({"v": 1, "svc": "room", "type": "leave", "room": "lobby"})])
    else:
        ann.outlet.lost()
        connection.deliver_control(TransportLost("gone"))
    world.settle()
    assert [one["data"]["msg"] for one in bob.heard() if isinstance(one, dict)] == [str(one) for one in range(100)]


class Narrow:
    async def authenticate(self, request: TicketRequest) -> Principal:  # noqa: ARG002 (one answer)
        return Principal("ann", rooms=("other",))

    async def close(self) -> None: ...


async def test_a_ticket_that_allows_less_mutes_before_its_rooms_are_left() -> None:
    world = World(Narrow())
    ann, bob = await lobby(world)
    connection = ann.session.connection
    connection.deliver([json.dumps({"v": 1, "svc": "sys", "type": "refresh", "data": {"ticket": "x"}})])
    for _ in range(3):
        await asyncio.sleep(0)
    connection.deliver([])  # the answer is taken, the tenant has had no turn
    connection.deliver([chat(1), b"\x01\x01\x00x"])
    world.settle()
    assert bob.heard() == []
    assert [one["type"] for one in ann.heard() if isinstance(one, dict)] == ["error", "error", "refreshed", "left"]
    assert not ann.session.muted
    assert ann.session.rooms == {}
