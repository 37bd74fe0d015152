"""A service in Python through a real gateway: messages, rooms, ticks, hot frames, slow handlers, reloads."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, until
from tests.conftest import StartGateway
from tests.python_services import COUNTER, tenant_with, write
from wsprism.settings import SettingsError

Message = dict[str, Any]


async def types_of(client: Client, number: int) -> list[str]:
    return [(await client.receive())["type"] for _ in range(number)]


async def test_a_message_is_answered_in_effects_with_the_state_of_its_room(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, COUNTER)))
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        assert await types_of(ann, 2) == ["came", "you"]
        await bob.join("r")
        assert sorted(await types_of(bob, 2)) == ["came", "you"]
        assert (await ann.receive())["data"] == "user:bob"
        await ann.send("game", "move", {"x": 1}, seq=1, flags=4)
        moved = await bob.receive()
        assert (moved["svc"], moved["type"], moved["room"]) == ("game", "moved", "r")
        assert moved["data"] == {"by": "user:ann", "x": 1}
        heard = {one["type"]: one for one in [await ann.receive() for _ in range(3)]}
        assert heard["move"]["data"] == {"moves": 1}
        assert heard.keys() == {"move", "moved", "ack"}
        await bob.send("game", "move", {"x": 2}, seq=9)
        heard = {one["type"]: one for one in [await bob.receive() for _ in range(2)]}
        assert (heard["move"]["data"], heard["move"]["seq"]) == ({"moves": 2}, 9)
        assert (await ann.receive())["type"] == "moved"
    async with Client(gateway.base, ticket="dev:eve") as eve:
        await eve.join("r")
        assert await types_of(eve, 2) == ["came", "you"]
        await eve.send("game", "move", {"x": 3})
        heard = {one["type"]: one for one in [await eve.receive() for _ in range(2)]}
        assert heard["move"]["data"] == {"moves": 1}, "the state went with the room"


async def test_who_leaves_is_told_to_the_others(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, COUNTER)))
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await types_of(ann, 2)
        async with Client(gateway.base, ticket="dev:bob") as bob:
            await bob.join("r")
        heard = [await ann.receive() for _ in range(2)]
        assert [(one["type"], one["data"]) for one in heard] == [("came", "user:bob"), ("went", "user:bob")]


@pytest.mark.parametrize(
    ("type", "data", "code"),
    [
        ("move", {"x": "one"}, "BAD_REQUEST"),
        ("move", {}, "BAD_REQUEST"),
        ("move", {"x": 10**30}, "BAD_REQUEST"),
        ("forbidden", None, "NOT_ALLOWED"),
        ("unknown", None, "NOT_ALLOWED"),
    ],
)
async def test_what_does_not_fit_is_refused_before_the_handler_runs(
    start_gateway: StartGateway, tmp_path: Path, type: str, data: Any, code: str
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, COUNTER)))
    async with Client(gateway.base) as client:
        for seq in range(30):
            await client.send("game", type, data, seq=seq)
            assert (await client.expect_error(code))["seq"] == seq
        acme = gateway.process.tenant("acme")
        assert acme is not None
        assert not acme.counters.services["ext", "game"].suspensions


SLOW = """
    import asyncio
    from wsprism.plugin import Service, publish, reply

    service = Service()

    @service.on("slow")
    async def slow(context, data: float):
        await asyncio.sleep(data)
        return [reply(data)]

    released = asyncio.Event()

    @service.on("held")
    async def held(context):
        await released.wait()
        return [reply("held")]

    @service.on("release")
    def release(context):
        released.set()

    @service.on("fast")
    def fast(context, data):
        return [reply(data)]

    @service.on("raises")
    async def raises(context):
        raise KeyError("x")

    @service.on("exits")
    async def exits(context):
        raise SystemExit(3)

    @service.on("stubborn")
    async def stubborn(context):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
"""


async def test_a_connections_slow_and_fast_answers_keep_its_order_and_hold_up_nothing_else(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, SLOW)))
    async with Client(gateway.base) as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.send("game", "held", seq=1)
        await ann.send("game", "fast", "f", seq=2)
        await ann.send("game", "slow", 0.0, seq=3)
        await ann.send("room", "join", room="r")
        await bob.send("game", "fast", "b")
        assert (await bob.receive())["data"] == "b"
        assert (await ann.receive())["type"] == "joined"
        await bob.send("game", "release")
        assert [(await ann.receive())["seq"] for _ in range(3)] == [1, 2, 3]


async def test_a_handler_that_takes_too_long_is_cancelled_and_one_that_ignores_it_is_closed(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, SLOW), handler_timeout_ms=100))
    async with Client(gateway.base) as client:
        for type in ("slow", "stubborn"):
            await client.send("game", type, 60.0, seq=5)
            assert (await client.expect_error("TIMEOUT"))["seq"] == 5
        await until(lambda: not any("_stepped" in repr(one) for one in asyncio.all_tasks()))


@pytest.mark.parametrize("type", ["raises", "exits"])
async def test_what_an_async_handler_raises_is_internal_to_the_sender(
    start_gateway: StartGateway, tmp_path: Path, type: str
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, SLOW)))
    async with Client(gateway.base) as client:
        await client.send("game", type, seq=5)
        assert (await client.expect_error("INTERNAL"))["seq"] == 5
        await client.send("game", "fast", 1)
        assert (await client.receive())["data"] == 1


async def test_more_than_sixteen_that_wait_are_refused(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, SLOW)))
    async with Client(gateway.base) as client, Client(gateway.base, ticket="dev:bob") as bob:
        await client.send("game", "held")
        for seq in range(20):
            await client.send("game", "fast", seq, seq=seq)
        heard = [await client.receive() for _ in range(5)]
        assert [(one["type"], one["seq"]) for one in heard] == [("error", seq) for seq in range(15, 20)]
        await bob.send("game", "release")
        assert [(await client.receive())["data"] for _ in range(16)] == ["held", *range(15)]


TICKING = """
    from wsprism.plugin import DROP, PASS, Service, publish, publish_hot, reply

    class State:
        ticks = 0
        frames = 0

    service = Service(state=State)

    @service.every(0.02)
    def tick(context):
        context.state.ticks += 1
        return [publish("tick", context.state.ticks)] if context.state.ticks <= 3 else None

    @service.hot
    def hot(context, frame):
        context.state.frames += 1
        return PASS

    @service.hot(2)
    def other(context, frame):
        return DROP

    @service.hot(3)
    def rewritten(context, frame):
        return frame[:3] + b"!"

    @service.on("frames")
    def frames(context):
        return [reply(context.state.frames)]
"""


async def test_a_room_ticks_while_it_has_members(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, TICKING)))
    async with Client(gateway.base) as client:
        await client.join("r")
        assert [(await client.receive())["data"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(("to", "sender", "others"), [("all", 1, 1), ("others", 0, 1), ("nobody", 0, 0)])
async def test_hot_frames_pass_are_dropped_or_rewritten_for_whom_the_configuration_says(
    start_gateway: StartGateway, tmp_path: Path, to: str, sender: int, others: int
) -> None:
    file = write(tmp_path, TICKING.replace("if context.state.ticks <= 3 else None", "if False else None"))
    gateway = await start_gateway(acme=tenant_with(file, hot={3: {"kind": "python", "file": file, "to": to}}))
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        for opcode in (1, 2, 3):
            await ann.ws.send_bytes(bytes([3, opcode, 0]) + b"x")
        for client, times in ((ann, sender), (bob, others)):
            if times:
                assert await client.receive_hot() == b"\x03\x01\x00x"
                assert await client.receive_hot() == b"\x03\x03\x00!"
        await ann.send("game", "frames")
        assert (await ann.receive())["data"] == 1, "both lanes are one service with one state"


async def test_a_reload_hands_state_over_where_the_service_says_how_and_begins_anew_where_not(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    file = write(tmp_path, COUNTER)
    gateway = await start_gateway(acme=tenant_with(file))
    async with Client(gateway.base) as client:
        await client.join("r")
        await types_of(client, 2)

        async def move() -> int:
            await client.send("game", "move", {"x": 1})
            heard = {one["type"]: one for one in [await client.receive() for _ in range(2)]}
            return int(heard["move"]["data"]["moves"])

        assert [await move(), await move()] == [1, 2]
        assert not (await gateway.process.reload()).applied
        await gateway.reconfigure(lambda data: data["tenants"][0].setdefault("limits", {}).update(max_rooms_total=9))
        assert await move() == 3, "what has not changed goes on"
        write(tmp_path, COUNTER + "\n@service.migrate\ndef migrate(old):\n    old.moves.append(0)\n    return old\n")
        assert (await gateway.process.reload()).applied
        assert await move() == 5
        write(tmp_path, COUNTER + "\n# another one\n")
        assert (await gateway.process.reload()).applied
        assert await move() == 1


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("service = ", "SyntaxError"),
        ("\n\nimport nonsense_that_is_not_there", ":3: "),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("raise SystemExit", "SystemExit"),
        ("service = 5", "must offer its service as `service`"),
        ("", "must offer its service as `service`"),
        (COUNTER + "\n@service.migrate\ndef migrate(old):\n    raise ValueError('cannot')\n", "ValueError: cannot"),
        (COUNTER + "\n@service.on('move')\ndef again(context): ...\n", "two handlers for 'move'"),
        (COUNTER + "\n@service.every(1)\nasync def tick(context): ...\n", "must be a plain function"),
        (COUNTER + "\n@service.on('odd')\ndef odd(context, data: complex): ...\n", "no data can be made a complex"),
        (COUNTER + "\n@service.on('odd')\ndef odd(context, data: 'Nowhere'): ...\n", "Nowhere"),
        ("from wsprism.plugin import Service\nservice = Service(state=5)", "state must be a class or function"),
    ],
)
async def test_a_reload_of_a_faulty_service_changes_nothing_and_names_the_file(
    start_gateway: StartGateway, tmp_path: Path, code: str, problem: str
) -> None:
    file = write(tmp_path, COUNTER)
    gateway = await start_gateway(acme=tenant_with(file))
    async with Client(gateway.base) as client:
        await client.join("r")
        await types_of(client, 2)
        await client.send("game", "move", {"x": 1})
        await types_of(client, 2)
        write(tmp_path, code)
        with pytest.raises(SettingsError) as refused:
            await gateway.reconfigure(
                lambda data: data["tenants"][0].setdefault("limits", {}).update(max_rooms_total=9)
            )
        assert file in str(refused.value)
        assert problem in str(refused.value)
        assert gateway.process.settings.tenants[0].limits.max_rooms_total == 0
        await client.send("game", "move", {"x": 1})
        heard = {one["type"]: one for one in [await client.receive() for _ in range(2)]}
        assert heard["move"]["data"] == {"moves": 2}
