"""Services in Python while something happens to them: reloads amid handlers, clients that go, ticks that are late."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.python_services import tenant_with, write

VERSIONS = """
    import asyncio, os
    from wsprism.plugin import Service, disconnect, join, leave, publish, reply, send

    VERSION = "{version}"

    class State:
        def __init__(self):
            self.finished = 0

    service = Service(state=State)

    @service.on("slow")
    async def slow(context, data):
        while not os.path.exists("{go}"):
            await asyncio.sleep(0.01)
        context.state.finished += 1
        return [reply([VERSION, data]), publish("done", data)]

    @service.on("fast")
    def fast(context, data):
        return [reply([VERSION, data, context.state.finished])]

    @service.on("goes")
    def goes(context):
        return [publish("before"), leave(context.room), publish("after", room="r"), reply(1)]

    @service.on("ends")
    def ends(context):
        return [disconnect(4444, "enough"), reply(1), join("r2"), publish("last", room="r")]

    @service.migrate
    def migrate(old):
        return old
"""


def version(tmp_path: Path, name: str) -> str:
    """Writes this one. Its slow handlers wait until ``let_go``."""
    return write(tmp_path, VERSIONS.format(version=name, go=tmp_path / "go"))


def let_go(tmp_path: Path) -> None:
    (tmp_path / "go").touch()


async def started(start_gateway: StartGateway, tmp_path: Path) -> Running:
    return await start_gateway(acme=tenant_with(version(tmp_path, "old")))


async def answers(client: Client, number: int, *types: str) -> list[Any]:
    """The data of so many of these types; others are passed over."""
    found: list[Any] = []
    while len(found) < number:
        message = await client.receive()
        if message["type"] in types:
            found.append(message.get("data"))
    return found


async def test_a_reload_amid_handlers_answers_every_message_once_and_in_its_order(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await started(start_gateway, tmp_path)
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        for number in range(3):
            await ann.send("game", "slow", number)
        await bob.send("game", "fast", 0)
        assert await answers(bob, 1, "fast") == [["old", 0, 0]]
        version(tmp_path, "new")
        assert (await gateway.process.reload()).applied
        await bob.send("game", "fast", 1)
        assert await answers(bob, 1, "fast") == [["new", 1, 0]]
        let_go(tmp_path)
        assert await answers(ann, 3, "slow") == [["old", 0], ["old", 1], ["old", 2]]
        assert await answers(bob, 3, "done") == [0, 1, 2]
        await ann.send("game", "fast", 2)
        assert await answers(ann, 1, "fast") == [["new", 2, 3]], "one state, handed over as it is"


@pytest.mark.parametrize("what", ["service", "tenant"])
async def test_what_is_taken_out_amid_its_handlers_leaves_nobody_waiting(
    start_gateway: StartGateway, tmp_path: Path, what: str
) -> None:
    gateway = await started(start_gateway, tmp_path)
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        for number in range(3):
            await ann.send("game", "slow", number)
        await ann.send("sys", "ping")
        await answers(ann, 1, "pong")

        def take_out(data: dict[str, Any]) -> None:
            if what == "service":
                del data["tenants"][0]["services"]["ext"]["game"]
                data["tenants"][0]["policy"]["ext_allowlist"].remove("game:*")
            else:
                data["tenants"][0]["id"] = "other"

        assert (await gateway.reconfigure(take_out)).applied
        if what == "service":
            let_go(tmp_path)
            assert await answers(ann, 3, "slow") == [["old", 0], ["old", 1], ["old", 2]]
            await ann.send("game", "slow", 3)
            assert [one["code"] for one in await answers(ann, 1, "error")] == ["NOT_ALLOWED"]
        else:
            with pytest.raises(AssertionError):
                await answers(ann, 99, "slow")
    await until(lambda: gateway.process.connections() == 0)
    assert gateway.process.actors().failures == 0


async def test_who_goes_while_a_handler_waits_takes_nothing_from_the_others(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await started(start_gateway, tmp_path)
    async with Client(gateway.base, ticket="dev:bob") as bob:
        await bob.join("r")
        async with Client(gateway.base, ticket="dev:ann") as ann:
            await ann.join("r")
            await ann.send("game", "slow", "a")
            await ann.send("game", "slow", "not begun")
            await ann.send("sys", "ping")
            await answers(ann, 1, "pong")
        await until(lambda: gateway.process.connections() == 1)
        let_go(tmp_path)
        assert await answers(bob, 1, "done") == ["a"]
        await bob.send("game", "fast", 0)
        assert await answers(bob, 1, "fast") == [["old", 0, 1]]


async def test_a_handler_that_takes_its_sender_away_says_the_rest_all_the_same(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await started(start_gateway, tmp_path)
    async with Client(gateway.base, ticket="dev:bob") as bob, Client(gateway.base, ticket="dev:ann") as ann:
        await bob.join("r")
        await ann.join("r")
        await ann.send("game", "goes")
        assert await answers(bob, 2, "before", "after") == [None, None]
        assert await answers(ann, 1, "goes") == [1]
        await ann.send("game", "ends")
        assert await answers(bob, 1, "last") == [None]
        assert await answers(ann, 1, "ends") == [1]


TICKS = """
    import time
    from wsprism.plugin import Service, publish

    service = Service(state=list)

    @service.every(0.01)
    def tick(context):
        context.state.append(1)
        time.sleep(0.02)
        if len(context.state) == 20:
            return [publish("twentieth")]
"""


async def test_ticks_that_are_always_late_neither_pile_up_nor_keep_the_others_from_their_turn(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, TICKS)))
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    counters = tenant.counters.services["ext", "game"]
    async with Client(gateway.base) as client:
        reached = 0

        async def until_told(answer: str) -> None:
            nonlocal reached
            while (heard := (await client.receive())["type"]) != answer:
                reached += heard == "twentieth"

        for room in "abcde":
            await client.send("room", "join", room=room)
            await until_told("joined")
        for _ in range(10):
            await client.send("sys", "ping")
            await until_told("pong")
        await answers(client, 5 - reached, "twentieth")
        began, before = time.perf_counter(), counters.calls
        await asyncio.sleep(0.3)
        assert counters.calls - before <= (time.perf_counter() - began) / 0.02 + 5
        for room in "abcde":
            await client.send("room", "leave", room=room)
    await until(lambda: gateway.process.connections() == 0)
    after = counters.calls
    await asyncio.sleep(0.1)
    assert counters.calls == after
    assert counters.slow >= 100
