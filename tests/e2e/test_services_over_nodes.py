"""Services of the operator's own code over two nodes on a real Redis: what reaches everybody, what each node has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api import start_with_api
from tests.client import Client
from tests.conftest import StartGateway
from tests.guests import answering
from tests.python_services import write
from tests.redis_server import RedisServer, running_redis

GAME = """
    from wsprism.plugin import Service, publish, publish_hot, reply, send

    class State:
        def __init__(self):
            self.said = 0
            self.ticks = 0
            self.here = []

    service = Service(state=State)

    @service.on("say")
    def say(context, data=None):
        context.state.said += 1
        return [publish("said", data), reply(context.state.said)]

    @service.on("say-there")
    def say_there(context, room):
        return [publish("said", context.user, room=room)]

    @service.on("tell")
    def tell(context, user):
        return [send(user, "told", context.user)]

    @service.on("hot")
    def hot(context):
        return [publish_hot(b"\\x01\\x01\\x00here")]

    @service.on("who")
    def who(context):
        return [reply(context.state.here)]

    @service.joined
    def joined(context):
        context.state.here.append(context.user)

    @service.every(0.05)
    def tick(context):
        context.state.ticks += 1
        if context.state.ticks == 3:
            return [publish("third", context.state.here)]
"""
WASM = json.dumps({"effects": [{"publish": {"type": "from-wasm", "data": 1}}, {"reply": 2}]})


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def bases(start_gateway: StartGateway, redis: RedisServer, tmp_path: Path) -> list[str]:
    (tmp_path / "rules.wasm").write_bytes(answering(WASM))
    acme = {
        "services": {
            "ext": {
                "chat": "chat",
                "game": {"kind": "python", "file": write(tmp_path, GAME)},
                "rules": {"kind": "wasm", "file": str(tmp_path / "rules.wasm")},
            },
            "hot": {1: "echo"},
        },
        "policy": {"ext_allowlist": ["room:*", "game:*", "rules:*"], "hot_allowlist": ["1:*"]},
        "rooms": [{"match": "here:*", "scope": "node"}],
    }
    gateways = [
        await start_with_api(
            start_gateway, acme=acme, gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}"}}
        )
        for number in range(2)
    ]
    return [running.base for running, _ in gateways]


@pytest.fixture
async def pair(bases: list[str]) -> AsyncIterator[tuple[Client, Client]]:
    """Ann on one node, Bob on the other."""
    async with Client(bases[0], ticket="dev:ann") as ann, Client(bases[1], ticket="dev:bob") as bob:
        yield ann, bob


async def both_join(pair: tuple[Client, Client], room: str) -> None:
    for client in pair:
        await client.send("room", "join", room=room)
        while (await client.receive())["type"] != "joined":
            pass


async def heard(client: Client, kind: str) -> dict[str, Any]:
    """The next of this type; others are passed over."""
    while (message := await client.receive())["type"] != kind:
        pass
    return message


async def test_what_a_service_publishes_reaches_members_on_both_nodes_in_one_order(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    await both_join(pair, "r")
    for number in range(10):
        await ann.send("game", "say", number)
        await bob.send("game", "say", 100 + number)
    orders = [[(await heard(client, "said"))["data"] for _ in range(20)] for client in pair]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == [*range(10), *range(100, 110)]
    await ann.send("rules", "x", seq=3)
    assert (await heard(bob, "from-wasm"))["data"] == 1
    assert (await heard(ann, "from-wasm"))["data"] == 1
    await ann.send("game", "hot")
    while not isinstance(frame := (await bob.receive_frame()).data, bytes):
        pass
    assert frame.endswith(b"here")


async def test_a_service_reaches_rooms_and_users_of_the_other_node(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    await bob.send("room", "join", room="only-there")
    await heard(bob, "joined")
    await ann.send("game", "say-there", "only-there")
    assert (await heard(bob, "said"))["data"] == "user:ann"
    await ann.send("game", "tell", "user:bob")
    assert (await heard(bob, "told"))["data"] == "user:ann"


@pytest.mark.parametrize("room", ["r", "here:r"])
async def test_state_joins_and_ticks_are_each_nodes_own(pair: tuple[Client, Client], room: str) -> None:
    ann, bob = pair
    await both_join(pair, room)
    for client in pair:
        await client.send("game", "say", "x", room=room)
        await client.send("game", "say", "x", room=room)
        replies: list[int] = []
        while len(replies) < 2:
            message = await client.receive()
            if message["type"] == "say":
                replies.append(message["data"])
        assert replies == [1, 2]
    for client, name in ((ann, "user:ann"), (bob, "user:bob")):
        await client.send("game", "who", room=room)
        assert (await heard(client, "who"))["data"] == [name]


async def test_each_node_with_members_ticks_a_room_over_nodes_so_everybody_hears_both(
    pair: tuple[Client, Client],
) -> None:
    await both_join(pair, "ticking")
    thirds = [[(await heard(client, "third"))["data"] for _ in range(2)] for client in pair]
    assert sorted(thirds[0]) == sorted(thirds[1]) == [["user:ann"], ["user:bob"]]
